#include <algorithm>
#include <cmath>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = x * s^-beta, where s grows with the squares of the values around x (Caffe's LRN).
///
/// Bottom and top: N x C x H x W. ACROSS_CHANNELS: s = k + alpha / local_size * the sum of the
/// squares in local_size neighbouring channels. WITHIN_CHANNEL: s = 1 + alpha / local_size^2 * the
/// sum over a square of local_size x local_size pixels; k plays no part. What lies outside is 0.
class LRNLayer : public Layer {
 public:
  using Layer::Layer;

  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override {
    const int size = size_of("local_size", parameter().local_size());
    if (size % 2 == 0) fail("local_size must be odd, not ", size);
    radius_ = size / 2;
    const float values = static_cast<float>(size) * (is_across() ? 1.0f : static_cast<float>(size));
    factor_ = parameter().alpha() / values;
    shift_ = is_across() ? parameter().k() : 1;
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    if (bottom[0]->axes() != 4)
      fail("works on N x C x H x W, and the bottom is ", to_string(bottom[0]->shape()));
    top[0]->reshape_like(*bottom[0]);
    scale_.reshape_like(*bottom[0]);
    sums_.reshape_like(*bottom[0]);
  }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    if (is_across()) return ChannelRule::wall();
    return ChannelRule::each(ChannelRule::Constants::ZERO, ChannelRule::Homogeneous::NEVER);
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const float* x = bottom[0]->cpu_data();
    float* y = top[0]->mutable_cpu_data();
    float* scale = scale_.mutable_cpu_data();
    for_each_value([=](std::int64_t i) { scale[i] = x[i] * x[i]; });
    sum_windows(&scale_);
    for_each_value([=](std::int64_t i) {
      scale[i] = shift_ + factor_ * scale[i];
      y[i] = x[i] * std::pow(scale[i], -beta());
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const float* x = bottom[0]->cpu_data();
    const float* y = top[0]->cpu_data();
    const float* dy = top[0]->cpu_diff();
    const float* scale = scale_.cpu_data();
    float* dx = bottom[0]->mutable_cpu_diff();
    ratios_.reshape_like(*bottom[0]);
    float* ratio = ratios_.mutable_cpu_data();
    for_each_value([=](std::int64_t i) { ratio[i] = dy[i] * y[i] / scale[i]; });
    sum_windows(&ratios_);
    for_each_value([=](std::int64_t i) {
      dx[i] = dy[i] * std::pow(scale[i], -beta()) - 2 * beta() * factor_ * x[i] * ratio[i];
    });
  }

 private:
  const LRNParameter& parameter() const { return parameter_.lrn_param(); }
  bool is_across() const { return parameter().norm_region() == LRNParameter::ACROSS_CHANNELS; }
  float beta() const { return parameter().beta(); }

  template <typename Body>
  void for_each_value(const Body& body) const {
    parallel_for(scale_.count(), kParallelGrain / 8, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) body(i);
    });
  }

  /// Replaces each value by the sum of the window around it.
  void sum_windows(Blob* values) {
    if (is_across()) return sum_along(1, values);
    sum_along(2, values);
    sum_along(3, values);
  }

  /// Replaces each value by the sum of those at most radius_ away along the axis.
  void sum_along(int axis, Blob* values) {
    const int size = values->shape(axis);
    const int inner = values->count(axis + 1);
    float* data = values->mutable_cpu_data();
    float* sums = sums_.mutable_cpu_data();
    parallel_for(values->count(0, axis + 1), grain_of(4LL * inner),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t row = begin; row < end; ++row) {
                     const std::int64_t at = row % size;
                     const std::int64_t first = row - std::min<std::int64_t>(at, radius_);
                     const std::int64_t last = row + std::min<std::int64_t>(size - 1 - at, radius_);
                     float* sum = sums + row * inner;
                     std::copy_n(data + first * inner, inner, sum);
                     for (std::int64_t other = first + 1; other <= last; ++other)
                       for (int i = 0; i < inner; ++i) sum[i] += data[other * inner + i];
                   }
                 });
    std::copy_n(sums, values->count(), data);
  }

  int radius_ = 0;
  float factor_ = 0;
  float shift_ = 1;
  Blob scale_;
  Blob sums_;
  Blob ratios_;
};

REGISTER_LAYER(LRN, CPU, LRNLayer);

}  // namespace vibnet
