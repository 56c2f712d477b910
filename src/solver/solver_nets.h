#pragma once

#include <memory>
#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/net.h"

namespace vibnet {

/// A net that a solver names: what it is and in which state it runs. `source` is for messages.
struct SolverNet {
  NetParameter net;
  NetState state;
  std::string source;
};

struct SolverNets {
  SolverNet train;
  std::vector<SolverNet> tests;
};

/// Finds the train net and the test nets in Caffe's fields (net, train_net, test_net, ..._param);
/// files are looked for in the working directory, then beside the solver's file. Throws Error where
/// they are missing, named twice, or do not match test_iter, train_state and test_state.
SolverNets read_solver_nets(const SolverParameter& parameter, const std::string& path);

/// The net that is compressed, of one phase and without rules: the first test net's TEST phase,
/// else that of the train net.
NetParameter test_model(const SolverNets& nets);

/// `ranks` share its batches. `weights_of`, where given, is the net whose parameters this one uses.
std::unique_ptr<Net> make_solver_net(const SolverNet& net, std::uint64_t seed, const Device& device,
                                     Communicator* ranks, const Net* weights_of = nullptr);

}  // namespace vibnet
