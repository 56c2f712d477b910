#include "solver/update_rule.h"

#include <cmath>
#include <map>

#include "core/names.h"
#include "math/parallel.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

/// v = momentum v + rate g; data -= v.
class SGD : public UpdateRule {
 public:
  explicit SGD(const SolverParameter& parameter) : momentum_(parameter.momentum()) {}
  int history_count() const override { return 1; }
  void update(std::int64_t count, float rate, std::int64_t /*iteration*/, const float* gradient,
              const std::vector<float*>& history, float* data) const override {
    float* velocity = history[0];
    parallel_for(count, kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        velocity[i] = momentum_ * velocity[i] + rate * gradient[i];
        data[i] -= velocity[i];
      }
    });
  }

 private:
  float momentum_;
};

/// v' = momentum v + rate g; data -= (1 + momentum) v' - momentum v.
class Nesterov : public UpdateRule {
 public:
  explicit Nesterov(const SolverParameter& parameter) : momentum_(parameter.momentum()) {}
  int history_count() const override { return 1; }
  void update(std::int64_t count, float rate, std::int64_t /*iteration*/, const float* gradient,
              const std::vector<float*>& history, float* data) const override {
    float* velocity = history[0];
    parallel_for(count, kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float before = velocity[i];
        velocity[i] = momentum_ * before + rate * gradient[i];
        data[i] -= (1 + momentum_) * velocity[i] - momentum_ * before;
      }
    });
  }

 private:
  float momentum_;
};

/// Kingma and Ba 2015, with the bias correction in the rate and delta outside the root, as Caffe.
class Adam : public UpdateRule {
 public:
  explicit Adam(const SolverParameter& parameter)
      : beta1_(parameter.momentum()), beta2_(parameter.momentum2()), delta_(parameter.delta()) {}
  int history_count() const override { return 2; }
  void update(std::int64_t count, float rate, std::int64_t iteration, const float* gradient,
              const std::vector<float*>& history, float* data) const override {
    const double steps = static_cast<double>(iteration + 1);
    const float step = static_cast<float>(rate * std::sqrt(1 - std::pow(double{beta2_}, steps)) /
                                          (1 - std::pow(double{beta1_}, steps)));
    float* mean = history[0];
    float* square = history[1];
    parallel_for(count, kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        mean[i] = beta1_ * mean[i] + (1 - beta1_) * gradient[i];
        square[i] = beta2_ * square[i] + (1 - beta2_) * gradient[i] * gradient[i];
        data[i] -= step * mean[i] / (std::sqrt(square[i]) + delta_);
      }
    });
  }

 private:
  float beta1_;
  float beta2_;
  float delta_;
};

using Factory = std::unique_ptr<UpdateRule> (*)(const SolverParameter&);

template <typename Rule>
std::unique_ptr<UpdateRule> make(const SolverParameter& parameter) {
  return std::make_unique<Rule>(parameter);
}

const std::map<std::string, Factory>& rules() {
  static const std::map<std::string, Factory> all = {
      {"SGD", make<SGD>}, {"Nesterov", make<Nesterov>}, {"Adam", make<Adam>}};
  return all;
}

std::string type_of(const SolverParameter& parameter) {
  if (parameter.has_type() || !parameter.has_solver_type()) return parameter.type();
  static const std::map<SolverParameter::SolverType, std::string> older = {
      {SolverParameter::SGD, "SGD"},
      {SolverParameter::NESTEROV, "Nesterov"},
      {SolverParameter::ADAM, "Adam"}};
  const auto found = older.find(parameter.solver_type());
  return found == older.end() ? SolverParameter::SolverType_Name(parameter.solver_type())
                              : found->second;
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
