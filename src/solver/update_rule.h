#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/update_factors.h"
#include "solver/update_steps.h"
#include "vibnet.pb.h"

namespace vibnet {

/// What a rule gets as a value's gradient: `scale` times what backward has left, and what takes
/// values down: l1 times its sign, and l2 times it. The share `shrink` of it goes apart from that.
struct GradientTerms {
  float scale = 1;
  float l1 = 0;
  float l2 = 0;
  float shrink = 0;
};

/// How a solver turns gradients into steps. Caffe's formulas and order of history blobs.
class UpdateRule {
 public:
  UpdateRule(const UpdateSteps& steps, bool decouples_decay)
      : steps_(steps), decouples_decay_(decouples_decay) {}

  /// Blobs of history for each parameter.
  int history_count() const;
  /// True for a rule whose weight decay is no part of the gradient: data -= rate decay data.
  bool decouples_decay() const { return decouples_decay_; }
  const UpdateSteps& steps() const { return steps_; }
  /// `iteration` counts from 0.
  UpdateFactors factors(std::int64_t iteration, double rate, float kl_weight) const;
  /// Over the values [begin, end): data -= step, and `shrink`. `rate` has lr_mult in it.
  void update(std::int64_t begin, std::int64_t end, const UpdateFactors& factors, float rate,
              const GradientTerms& terms, const float* gradient, const std::vector<float*>& history,
              float* data) const;

 private:
  UpdateSteps steps_;
  bool decouples_decay_;
};

/// The rule that `type` (or the older solver_type) names. Throws Error for an unknown one.
std::unique_ptr<UpdateRule> make_update_rule(const SolverParameter& parameter);

}  // namespace vibnet
