#include "solver/solver_nets.h"

#include <filesystem>

#include "core/upgrade.h"
#include "net/filter.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

/// The file as named, from the working directory; else from the folder of the solver's file.
std::string find_file(const std::string& name, const std::string& solver) {
  if (std::filesystem::exists(name)) return name;
  const auto beside = std::filesystem::path(solver).parent_path() / name;
  return std::filesystem::exists(beside) ? beside.string() : name;
}

SolverNet from_file(const std::string& name, const std::string& solver) {
  const std::string path = find_file(name, solver);
  return {read_net_prototxt(path), {}, path};
}

SolverNet train_net(const SolverParameter& p, const std::string& path) {
  const int named = p.has_net() + p.has_net_param() + p.has_train_net() + p.has_train_net_param();
  if (named != 1)
    fail(path, ": names ", named, " train nets; give one of net, net_param, train_net and ",
         "train_net_param");
  if (p.has_net()) return from_file(p.net(), path);
  if (p.has_train_net()) return from_file(p.train_net(), path);
  if (p.has_net_param()) return {upgraded_net(p.net_param(), path), {}, path};
  return {upgraded_net(p.train_net_param(), path), {}, path};
}

std::vector<SolverNet> test_nets(const SolverParameter& p, const SolverNet& train,
                                 const std::string& path) {
  std::vector<SolverNet> tests;
  for (const NetParameter& net : p.test_net_param())
    tests.push_back({upgraded_net(net, path), {}, path});
  for (const std::string& name : p.test_net()) tests.push_back(from_file(name, path));
  const int named = static_cast<int>(tests.size());
  if (!p.has_net() && !p.has_net_param()) {
    if (p.test_iter_size() != named)
      fail(path, ": has ", p.test_iter_size(), " test_iter for ", named, " test net(s)");
    return tests;
  }
  if (p.test_iter_size() < named)
    fail(path, ": has ", p.test_iter_size(), " test_iter for ", named, " test net(s)");
  while (static_cast<int>(tests.size()) < p.test_iter_size())
    tests.push_back({train.net, {}, train.source});
  return tests;
}

}  // namespace

SolverNets read_solver_nets(const SolverParameter& p, const std::string& path) {
  SolverNets nets{train_net(p, path), {}};
  nets.tests = test_nets(p, nets.train, path);
  const int tests = static_cast<int>(nets.tests.size());
  for (const int iterations : p.test_iter())
    if (iterations < 1) fail(path, ": test_iter must be 1 or more");
  if (p.test_state_size() != 0 && p.test_state_size() != tests)
    fail(path, ": has ", p.test_state_size(), " test_state for ", tests, " test net(s)");
  nets.train.state = p.train_state();
  nets.train.state.set_phase(TRAIN);
  for (int i = 0; i < tests; ++i) {
    if (p.test_state_size() > 0) nets.tests[i].state = p.test_state(i);
    nets.tests[i].state.set_phase(TEST);
  }
  nets.train.net.set_debug_info(nets.train.net.debug_info() || p.debug_info());
  return nets;
}

NetParameter test_model(const SolverNets& nets) {
  const SolverNet& net = nets.tests.empty() ? nets.train : nets.tests[0];
  NetState state = net.state;
  state.set_phase(TEST);
  return single_phase(net.net, state);
}

std::unique_ptr<Net> make_solver_net(const SolverNet& net, std::uint64_t seed, const Device& device,
                                     Communicator* ranks, const Net* weights_of) {
  const auto& stages = net.state.stage();
  NetOptions options{
      net.state.phase(), device, seed, net.state.level(), {stages.begin(), stages.end()}};
  options.keeps_blobs = false;
  options.ranks = ranks;
  options.weights_of = weights_of;
  return std::unique_ptr<Net>(new Net(make_net(net.net, net.source, options)));
}

}  // namespace vibnet
