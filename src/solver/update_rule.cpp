#include "solver/update_rule.h"

#include <map>
#include <string>
#include <type_traits>

#include "core/names.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

void refuse_momentum(const SolverParameter& parameter, const char* type) {
  if (parameter.momentum() != 0)
    fail("type ", type, " takes no momentum, and momentum: ", parameter.momentum(), " is given");
}

float momentum_of(const SolverParameter& parameter) {
  const float momentum = parameter.momentum();
  if (!(momentum >= 0 && momentum < 1)) fail("momentum: ", momentum, " must be from 0 to below 1");
  return momentum;
}

UpdateRule make_sgd(const SolverParameter& parameter) {
  return {SgdRule{momentum_of(parameter)}, false};
}

UpdateRule make_nesterov(const SolverParameter& parameter) {
  return {NesterovRule{momentum_of(parameter)}, false};
}

UpdateRule make_ada_grad(const SolverParameter& parameter) {
  refuse_momentum(parameter, "AdaGrad");
  return {RootOfSquaresRule{1, 1, parameter.delta()}, false};
}

UpdateRule make_rms_prop(const SolverParameter& parameter) {
  refuse_momentum(parameter, "RMSProp");
  const float decay = parameter.rms_decay();
  if (!(decay >= 0 && decay < 1)) fail("rms_decay: ", decay, " must be from 0 to below 1");
  return {RootOfSquaresRule{decay, 1 - decay, parameter.delta()}, false};
}

UpdateRule make_ada_delta(const SolverParameter& parameter) {
  return {AdaDeltaRule{momentum_of(parameter), parameter.delta()}, false};
}

AdamRule adam_of(const SolverParameter& parameter) {
  const float beta1 = parameter.momentum();
  const float beta2 = parameter.momentum2();
  if (!(beta1 >= 0 && beta1 < 1) || !(beta2 >= 0 && beta2 < 1))
    fail("momentum and momentum2 must be from 0 to below 1; they are ", beta1, " and ", beta2);
  return {beta1, beta2, parameter.delta()};
}

UpdateRule make_adam(const SolverParameter& parameter) { return {adam_of(parameter), false}; }

UpdateRule make_adam_w(const SolverParameter& parameter) {
  AdamRule rule = adam_of(parameter);
  if (parameter.regularization_type() != "L2")
    fail("type AdamW decays weights itself; regularization_type must be L2");
  rule.is_adamw = true;
  return {rule, true};
}

using Factory = UpdateRule (*)(const SolverParameter&);

const std::map<std::string, Factory>& rules() {
  static const std::map<std::string, Factory> all = {
      {"SGD", make_sgd},          {"Nesterov", make_nesterov},  {"AdaGrad", make_ada_grad},
      {"RMSProp", make_rms_prop}, {"AdaDelta", make_ada_delta}, {"Adam", make_adam},
      {"AdamW", make_adam_w}};
  return all;
}

std::string type_of(const SolverParameter& parameter) {
  if (!parameter.has_solver_type()) return parameter.type();
  if (parameter.has_type()) fail("has both type and solver_type, its older form; give one");
  switch (parameter.solver_type()) {
    case SolverParameter::NESTEROV:
      return "Nesterov";
    case SolverParameter::ADAGRAD:
      return "AdaGrad";
    case SolverParameter::RMSPROP:
      return "RMSProp";
    case SolverParameter::ADADELTA:
      return "AdaDelta";
    case SolverParameter::ADAM:
      return "Adam";
    default:
      return "SGD";
  }
}

}  // namespace

int UpdateRule::history_count() const {
  return std::visit([](const auto& rule) { return std::decay_t<decltype(rule)>::kHistory; },
                    steps_);
}

UpdateFactors UpdateRule::factors(std::int64_t iteration, double rate, float kl_weight) const {
  UpdateFactors factors{rate, kl_weight};
  if (const auto* adam = std::get_if<AdamRule>(&steps_)) {
    const double steps = static_cast<double>(iteration + 1);
    factors.bias = 1 - std::pow(double{adam->beta1}, steps);
    factors.root = std::sqrt(1 - std::pow(double{adam->beta2}, steps));
  }
  return factors;
}

void UpdateRule::update(std::int64_t begin, std::int64_t end, const UpdateFactors& factors,
                        float rate, const GradientTerms& terms, const float* gradient,
                        const std::vector<float*>& history, float* data) const {
  std::visit(
      [&](const auto& all) {
        // Copies: what the loop writes cannot be one of their members, and so it is vectorised.
        const auto rule = all.with(factors, rate);
        const GradientTerms own = terms;
        float* h = history[0];
        float* s = rule.kHistory == 1 ? nullptr : history[1];
        const auto step = [=](std::int64_t i, float of_sign) {
          const float g = own.scale * gradient[i] + of_sign + own.l2 * data[i];
          const float value = data[i] - own.shrink * data[i];
          float none = 0;
          if constexpr (rule.kHistory == 1)
            data[i] = value - rule.step(g, h[i], none);
          else
            data[i] = value - rule.step(g, h[i], s[i]);
        };
        if (own.l1 == 0)
          for (std::int64_t i = begin; i < end; ++i) step(i, 0);
        else
          for (std::int64_t i = begin; i < end; ++i)
            step(i, own.l1 * static_cast<float>((data[i] > 0) - (data[i] < 0)));
      },
      steps_);
}

std::unique_ptr<UpdateRule> make_update_rule(const SolverParameter& parameter) {
  const std::string type = type_of(parameter);
  const auto found = rules().find(type);
  if (found != rules().end()) return std::make_unique<UpdateRule>(found->second(parameter));
  std::vector<std::string> known;
  for (const auto& rule : rules()) known.push_back(rule.first);
  fail("solver type '", type, "' is not known; ", nearest_names(type, known));
}

}  // namespace vibnet
