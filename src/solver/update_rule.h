#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vibnet.pb.h"

namespace vibnet {

/// How a solver turns gradients into steps. Caffe's formulas and order of history blobs.
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;
  /// Blobs of history for each parameter.
  virtual int history_count() const = 0;
  /// True for a rule whose weight decay is no part of the gradient: data -= rate decay data.
  virtual bool decouples_decay() const { return false; }
  /// Over the values [begin, end): data -= step. `rate` has lr_mult in it; `iteration` counts from
  /// 0.
  virtual void update(std::int64_t begin, std::int64_t end, float rate, std::int64_t iteration,
                      const float* gradient, const std::vector<float*>& history,
                      float* data) const = 0;
};

/// The rule that `type` (or the older solver_type) names. Throws Error for an unknown one.
std::unique_ptr<UpdateRule> make_update_rule(const SolverParameter& parameter);

}  // namespace vibnet
