#include "solver/update_rule.h"

#include <cmath>
#include <map>

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

// The loops use copies of the members: what they write cannot be one of those, and so they are
// vectorised.

/// v = momentum v + rate g; data -= v.
class SGD : public UpdateRule {
 public:
  explicit SGD(const SolverParameter& parameter) : momentum_(momentum_of(parameter)) {}
  int history_count() const override { return 1; }
  void update(std::int64_t begin, std::int64_t end, float rate, std::int64_t /*iteration*/,
              const float* gradient, const std::vector<float*>& history,
              float* data) const override {
    float* velocity = history[0];
    const float momentum = momentum_;
    for (std::int64_t i = begin; i < end; ++i) {
      velocity[i] = momentum * velocity[i] + rate * gradient[i];
      data[i] -= velocity[i];
    }
  }

 private:
  float momentum_;
};

/// v' = momentum v + rate g; data -= (1 + momentum) v' - momentum v.
class Nesterov : public UpdateRule {
 public:
  explicit Nesterov(const SolverParameter& parameter) : momentum_(momentum_of(parameter)) {}
  int history_count() const override { return 1; }
  void update(std::int64_t begin, std::int64_t end, float rate, std::int64_t /*iteration*/,
              const float* gradient, const std::vector<float*>& history,
              float* data) const override {
    float* velocity = history[0];
    const float momentum = momentum_;
    for (std::int64_t i = begin; i < end; ++i) {
      const float before = velocity[i];
      velocity[i] = momentum * before + rate * gradient[i];
      data[i] -= (1 + momentum) * velocity[i] - momentum * before;
    }
  }

 private:
  float momentum_;
};

/// h = keep h + share g^2; data -= rate g / (sqrt(h) + delta).
class RootOfSquares : public UpdateRule {
 public:
  RootOfSquares(float keep, float share, float delta) : keep_(keep), share_(share), delta_(delta) {}
  int history_count() const override { return 1; }
  void update(std::int64_t begin, std::int64_t end, float rate, std::int64_t /*iteration*/,
              const float* gradient, const std::vector<float*>& history,
              float* data) const override {
    float* squares = history[0];
    const float keep = keep_;
    const float share = share_;
    const float delta = delta_;
    for (std::int64_t i = begin; i < end; ++i) {
      squares[i] = keep * squares[i] + share * gradient[i] * gradient[i];
      data[i] -= rate * (gradient[i] / (std::sqrt(squares[i]) + delta));
    }
  }

 private:
  float keep_;
  float share_;
  float delta_;
};

/// Duchi et al. 2011: all squares count alike.
class AdaGrad : public RootOfSquares {
 public:
  explicit AdaGrad(const SolverParameter& parameter) : RootOfSquares(1, 1, parameter.delta()) {
    refuse_momentum(parameter, "AdaGrad");
  }
};

/// Tieleman and Hinton 2012: older squares fade by rms_decay.
class RMSProp : public RootOfSquares {
 public:
  explicit RMSProp(const SolverParameter& parameter)
      : RootOfSquares(parameter.rms_decay(), 1 - parameter.rms_decay(), parameter.delta()) {
    refuse_momentum(parameter, "RMSProp");
    const float decay = parameter.rms_decay();
    if (!(decay >= 0 && decay < 1)) fail("rms_decay: ", decay, " must be from 0 to below 1");
  }
};

/// Zeiler 2012, with momentum as the share of the past: h = momentum h + (1 - momentum) g^2,
/// step = g sqrt((s + delta) / (h + delta)), s = momentum s + (1 - momentum) step^2;
/// data -= rate step.
class AdaDelta : public UpdateRule {
 public:
  explicit AdaDelta(const SolverParameter& parameter)
      : momentum_(momentum_of(parameter)), delta_(parameter.delta()) {}
  int history_count() const override { return 2; }
  void update(std::int64_t begin, std::int64_t end, float rate, std::int64_t /*iteration*/,
              const float* gradient, const std::vector<float*>& history,
              float* data) const override {
    float* gradients = history[0];
    float* steps = history[1];
    const float momentum = momentum_;
    const float delta = delta_;
    for (std::int64_t i = begin; i < end; ++i) {
      gradients[i] = momentum * gradients[i] + (1 - momentum) * gradient[i] * gradient[i];
      const float step = gradient[i] * std::sqrt((steps[i] + delta) / (gradients[i] + delta));
      steps[i] = momentum * steps[i] + (1 - momentum) * step * step;
      data[i] -= rate * step;
    }
  }

 private:
  float momentum_;
  float delta_;
};

/// Kingma and Ba 2015. Caffe adds delta to the root before the bias of the squares is corrected,
/// AdamW after it, as PyTorch does.
class Adam : public UpdateRule {
 public:
  explicit Adam(const SolverParameter& parameter)
      : beta1_(parameter.momentum()), beta2_(parameter.momentum2()), delta_(parameter.delta()) {
    if (!(beta1_ >= 0 && beta1_ < 1) || !(beta2_ >= 0 && beta2_ < 1))
      fail("momentum and momentum2 must be from 0 to below 1; they are ", beta1_, " and ", beta2_);
  }
  int history_count() const override { return 2; }
  void update(std::int64_t begin, std::int64_t end, float rate, std::int64_t iteration,
              const float* gradient, const std::vector<float*>& history,
              float* data) const override {
    const double steps = static_cast<double>(iteration + 1);
    const double root = std::sqrt(1 - std::pow(double{beta2_}, steps));
    const float step = static_cast<float>(rate * root / (1 - std::pow(double{beta1_}, steps)));
    const float delta = decouples_decay() ? static_cast<float>(delta_ * root) : delta_;
    float* mean = history[0];
    float* square = history[1];
    const float beta1 = beta1_;
    const float beta2 = beta2_;
    for (std::int64_t i = begin; i < end; ++i) {
      mean[i] = beta1 * mean[i] + (1 - beta1) * gradient[i];
      square[i] = beta2 * square[i] + (1 - beta2) * gradient[i] * gradient[i];
      data[i] -= step * mean[i] / (std::sqrt(square[i]) + delta);
    }
  }

 private:
  float beta1_;
  float beta2_;
  float delta_;
};

/// Loshchilov and Hutter 2019: Adam on the plain gradient, and the decay apart from it.
class AdamW : public Adam {
 public:
  explicit AdamW(const SolverParameter& parameter) : Adam(parameter) {
    if (parameter.regularization_type() != "L2")
      fail("type AdamW decays weights itself; regularization_type must be L2");
  }
  bool decouples_decay() const override { return true; }
};

using Factory = std::unique_ptr<UpdateRule> (*)(const SolverParameter&);

template <typename Rule>
std::unique_ptr<UpdateRule> make(const SolverParameter& parameter) {
  return std::make_unique<Rule>(parameter);
}

const std::map<std::string, Factory>& rules() {
  static const std::map<std::string, Factory> all = {
      {"SGD", make<SGD>},         {"Nesterov", make<Nesterov>}, {"AdaGrad", make<AdaGrad>},
      {"RMSProp", make<RMSProp>}, {"AdaDelta", make<AdaDelta>}, {"Adam", make<Adam>},
      {"AdamW", make<AdamW>}};
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

std::unique_ptr<UpdateRule> make_update_rule(const SolverParameter& parameter) {
  const std::string type = type_of(parameter);
  const auto found = rules().find(type);
  if (found != rules().end()) return found->second(parameter);
  std::vector<std::string> known;
  for (const auto& rule : rules()) known.push_back(rule.first);
  fail("solver type '", type, "' is not known; ", nearest_names(type, known));
}

}  // namespace vibnet
