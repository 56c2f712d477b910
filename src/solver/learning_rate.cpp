#include "solver/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "core/names.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

using Policy = double (*)(const SolverParameter& p, double iteration);

double multistep(const SolverParameter& p, double iteration) {
  const auto passed = std::count_if(p.stepvalue().begin(), p.stepvalue().end(),
                                    [=](int step) { return iteration >= step; });
  return std::pow(double{p.gamma()}, static_cast<double>(passed));
}

const std::map<std::string, Policy>& policies() {
  static const std::map<std::string, Policy> all = {
      {"fixed", [](const SolverParameter&, double) { return 1.0; }},
      {"step", [](const SolverParameter& p,
                  double i) { return std::pow(double{p.gamma()}, std::floor(i / p.stepsize())); }},
      {"exp", [](const SolverParameter& p, double i) { return std::pow(double{p.gamma()}, i); }},
      {"inv", [](const SolverParameter& p,
                 double i) { return std::pow(1 + double{p.gamma()} * i, -double{p.power()}); }},
      {"multistep", multistep},
      {"poly",
       [](const SolverParameter& p, double i) {
         return std::pow(std::max(0.0, 1 - i / p.max_iter()), double{p.power()});
       }},
      {"sigmoid",
       [](const SolverParameter& p, double i) {
         return 1 / (1 + std::exp(-double{p.gamma()} * (i - p.stepsize())));
       }},
  };
  return all;
}

}  // namespace

void check_learning_rate(const SolverParameter& parameter) {
  const std::string& policy = parameter.lr_policy();
  if (policies().count(policy) == 0) {
    std::vector<std::string> known;
    for (const auto& entry : policies()) known.push_back(entry.first);
    fail("lr_policy '", policy, "' is not known; ", nearest_names(policy, known));
  }
  if (!(parameter.base_lr() >= 0 && std::isfinite(parameter.base_lr())))
    fail("base_lr: ", parameter.base_lr(), " must be a number that is not negative");
  if (parameter.warmup_iter() < 0) fail("warmup_iter cannot be negative");
  if (!(parameter.warmup_start_lr() >= 0 && std::isfinite(parameter.warmup_start_lr())))
    fail("warmup_start_lr: ", parameter.warmup_start_lr(),
         " must be a number that is not negative");
  if (policy == "step" && parameter.stepsize() < 1) fail("lr_policy step needs a stepsize");
  if (policy == "poly" && parameter.max_iter() < 1) fail("lr_policy poly needs a max_iter");
}

double learning_rate(const SolverParameter& parameter, std::int64_t iteration) {
  const Policy policy = policies().at(parameter.lr_policy());
  const double rate = parameter.base_lr() * policy(parameter, static_cast<double>(iteration));
  if (iteration >= parameter.warmup_iter()) return rate;
  const double start = parameter.warmup_start_lr();
  return start + (rate - start) * static_cast<double>(iteration) / parameter.warmup_iter();
}

}  // namespace vibnet
