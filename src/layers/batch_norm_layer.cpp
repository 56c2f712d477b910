#include <algorithm>
#include <cmath>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = (x - mean) / sqrt(variance + eps) per channel (Caffe's BatchNorm, without scale and shift).
///
/// Bottom and top: N x C x ..., in place if asked. Mean and variance are the batch's in TRAIN and
/// the running ones in TEST, unless use_global_stats says else. Blobs, none learned: the running
/// sums of mean and variance, C each, and the factor that both are divided by.
class BatchNormLayer : public Layer {
 public:
  using Layer::Layer;

  bool is_learnable(int /*index*/) const override { return false; }
  bool runs_in_place() const override { return true; }

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override {
    const int channels = bottom[0]->axes() == 1 ? 1 : bottom[0]->shape(1);
    add_blob({channels}, nullptr);
    add_blob({channels}, nullptr);
    add_blob({1}, nullptr);
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    channels_ = bottom[0]->axes() == 1 ? 1 : bottom[0]->shape(1);
    if (channels_ != blobs_[0]->count())
      fail("was made for ", blobs_[0]->count(), " channels, and the bottom has ", channels_);
    samples_ = bottom[0]->shape(0);
    spatial_ = bottom[0]->axes() > 2 ? bottom[0]->count(2) : 1;
    top[0]->reshape_like(*bottom[0]);
    normalized_.reshape_like(*bottom[0]);
    mean_.resize(channels_);
    variance_.resize(channels_);
  }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    ChannelRule rule = ChannelRule::pointwise();
    rule.channel_blobs = 2;
    rule.has_shift = true;
    return rule;
  }
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 private:
  bool uses_global_stats() const {
    const BatchNormParameter& parameter = parameter_.batch_norm_param();
    return parameter.has_use_global_stats() ? parameter.use_global_stats() : context_.phase == TEST;
  }

  void read_running_stats();
  void update_running_stats();

  /// visit(first value) for every stretch of spatial_ values of a channel.
  template <typename Visit>
  void for_each_plane(int channel, const Visit& visit) const {
    for (int n = 0; n < samples_; ++n) visit((n * channels_ + channel) * spatial_);
  }

  /// Calls body(channel) for all channels; a channel stays on one thread.
  template <typename Body>
  void for_each_channel(const Body& body) const {
    parallel_for(channels_, grain_of(4LL * samples_ * spatial_),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t c = begin; c < end; ++c) body(static_cast<int>(c));
                 });
  }

  float inverse_deviation(int channel) const {
    return 1 / std::sqrt(variance_[channel] + parameter_.batch_norm_param().eps());
  }

  int samples_ = 0;
  int channels_ = 0;
  int spatial_ = 0;
  std::vector<float> mean_;
  std::vector<float> variance_;
  Blob normalized_;
};

void BatchNormLayer::read_running_stats() {
  const float factor = blobs_[2]->cpu_data()[0];
  const float scale = factor == 0 ? 0 : 1 / factor;
  for (int c = 0; c < channels_; ++c) {
    mean_[c] = scale * blobs_[0]->cpu_data()[c];
    variance_[c] = scale * blobs_[1]->cpu_data()[c];
  }
}

void BatchNormLayer::update_running_stats() {
  const float kept = parameter_.batch_norm_param().moving_average_fraction();
  const int values = samples_ * spatial_;
  const float unbiased = values > 1 ? static_cast<float>(values) / (values - 1) : 1;
  float* mean = blobs_[0]->mutable_cpu_data();
  float* variance = blobs_[1]->mutable_cpu_data();
  float* factor = blobs_[2]->mutable_cpu_data();
  factor[0] = kept * factor[0] + 1;
  for (int c = 0; c < channels_; ++c) {
    mean[c] = kept * mean[c] + mean_[c];
    variance[c] = kept * variance[c] + unbiased * variance_[c];
  }
}

void BatchNormLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  float* normalized = normalized_.mutable_cpu_data();
  const bool global = uses_global_stats();
  if (global) read_running_stats();
  const float values = static_cast<float>(std::max(1, samples_ * spatial_));
  for_each_channel([&](int c) {
    if (!global) {
      double sum = 0;
      for_each_plane(c, [&](int i) {
        float plane_sum = 0;
#pragma omp simd reduction(+ : plane_sum)
        for (int s = i; s < i + spatial_; ++s) plane_sum += x[s];
        sum += plane_sum;
      });
      const float mean = static_cast<float>(sum / values);
      double squares = 0;
      for_each_plane(c, [&](int i) {
        float plane_squares = 0;
#pragma omp simd reduction(+ : plane_squares)
        for (int s = i; s < i + spatial_; ++s) plane_squares += (x[s] - mean) * (x[s] - mean);
        squares += plane_squares;
      });
      mean_[c] = mean;
      variance_[c] = static_cast<float>(squares / values);
    }
    const float mean = mean_[c];
    const float scale = inverse_deviation(c);
    for_each_plane(c, [&](int i) {
      for (int s = i; s < i + spatial_; ++s) y[s] = normalized[s] = (x[s] - mean) * scale;
    });
  });
  if (!global) update_running_stats();
}

void BatchNormLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                              const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* dy = top[0]->cpu_diff();
  const float* y = normalized_.cpu_data();
  float* dx = bottom[0]->mutable_cpu_diff();
  const bool global = uses_global_stats();
  const float values = static_cast<float>(std::max(1, samples_ * spatial_));
  for_each_channel([&](int c) {
    double sum = 0;
    double products = 0;
    if (!global)
      for_each_plane(c, [&](int i) {
        float plane_sum = 0;
        float plane_products = 0;
#pragma omp simd reduction(+ : plane_sum, plane_products)
        for (int s = i; s < i + spatial_; ++s) {
          plane_sum += dy[s];
          plane_products += dy[s] * y[s];
        }
        sum += plane_sum;
        products += plane_products;
      });
    const float mean = static_cast<float>(sum / values);
    const float slope = static_cast<float>(products / values);
    const float scale = inverse_deviation(c);
    for_each_plane(c, [&](int i) {
      for (int s = i; s < i + spatial_; ++s) dx[s] = (dy[s] - mean - slope * y[s]) * scale;
    });
  });
}

REGISTER_LAYER(BatchNorm, CPU, BatchNormLayer);

}  // namespace vibnet
