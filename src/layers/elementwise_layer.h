#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "math/parallel.h"
#include "vibnet/layer.h"

namespace vibnet {

/// A layer that is one formula for each value alone, in place if asked.
///
/// `Formula` is made from the LayerParameter, or throws an Error, and has
///   float value(float x) const            y
///   float slope(float x, float y) const   dy/dx
///   bool slope_reads_x() const            false where slope is right with y given for x too, so
///                                         that an in-place layer need not keep x
template <typename Formula>
class ElementwiseLayer : public Layer {
 public:
  using Layer::Layer;

  bool runs_in_place() const override { return true; }

  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override {
    try {
      formula_.emplace(parameter_);
    } catch (const Error& error) {
      fail(error.what());
    }
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    top[0]->reshape_like(*bottom[0]);
    if (keeps_x(bottom, top)) kept_x_.reshape_like(*bottom[0]);
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int count = bottom[0]->count();
    const float* x = bottom[0]->cpu_data();
    if (keeps_x(bottom, top)) std::copy_n(x, count, kept_x_.mutable_cpu_data());
    float* y = top[0]->mutable_cpu_data();
    const Formula formula = *formula_;
    parallel_for(count, kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y[i] = formula.value(x[i]);
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const float* x = keeps_x(bottom, top) ? kept_x_.cpu_data() : bottom[0]->cpu_data();
    const float* y = top[0]->cpu_data();
    const float* dy = top[0]->cpu_diff();
    float* dx = bottom[0]->mutable_cpu_diff();
    const Formula formula = *formula_;
    parallel_for(top[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) dx[i] = dy[i] * formula.slope(x[i], y[i]);
    });
  }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    return ChannelRule::pointwise();
  }

 private:
  bool keeps_x(const Blobs& bottom, const Blobs& top) const {
    return bottom[0] == top[0] && formula_->slope_reads_x();
  }

  std::optional<Formula> formula_;
  Blob kept_x_;
};

}  // namespace vibnet
