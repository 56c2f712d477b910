#include "layers/information_bottleneck_layer.h"

#include <algorithm>
#include <cmath>

#include "core/gate_rule.h"
#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

FillerParameter gaussian(float mean, float std) {
  FillerParameter filler;
  filler.set_type("gaussian");
  filler.set_mean(mean);
  filler.set_std(std);
  return filler;
}

/// mu^2 + sigma^2, kept off 0 so that the KL gradients below stay finite.
double second_moment(double mu, double log_sigma2) {
  return std::max(mu * mu + std::exp(log_sigma2), 1e-60);
}

}  // namespace

void InformationBottleneckLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  if (bottom[0]->axes() < 2) fail("needs a bottom of at least 2 axes, N x C");
  const auto& parameter = parameter_.information_bottleneck_param();
  if (parameter.gamma() < 0) fail("gamma: ", parameter.gamma(), " cannot be negative");
  const FillerParameter mu = parameter.has_mu_filler() ? parameter.mu_filler() : gaussian(1, 0.01f);
  const FillerParameter log_sigma2 =
      parameter.has_log_sigma2_filler() ? parameter.log_sigma2_filler() : gaussian(-9, 0.01f);
  add_blob({bottom[0]->shape(1)}, &mu);
  add_blob({bottom[0]->shape(1)}, &log_sigma2);
}

void InformationBottleneckLayer::reshape(const Blobs& bottom, const Blobs& top) {
  if (bottom[0]->shape(1) != blobs_[0]->count())
    fail("was made for ", blobs_[0]->count(), " channels, and the bottom has ",
         bottom[0]->shape(1));
  samples_ = bottom[0]->shape(0);
  channels_ = bottom[0]->shape(1);
  spatial_ = bottom[0]->count(2);
  switch (parameter_.information_bottleneck_param().kl_scale()) {
    case InformationBottleneckParameter::SPATIAL:
      kl_scale_ = spatial_;
      break;
    case InformationBottleneckParameter::CHANNEL:
      kl_scale_ = 1;
      break;
    case InformationBottleneckParameter::WIDTH:
      kl_scale_ = bottom[0]->axes() > 2 ? bottom[0]->shape(-1) : 1;
      break;
  }
  top[0]->reshape_like(*bottom[0]);
  for (Blob* blob : {&noise_, &multiplier_, &sums_}) blob->reshape({samples_, channels_});
}

double InformationBottleneckLayer::kl() const {
  const float* mu = blobs_[0]->cpu_data();
  const float* log_sigma2 = blobs_[1]->cpu_data();
  double sum = 0;
  for (int c = 0; c < channels_; ++c) {
    const double log_ratio = std::log(double{mu[c]} * mu[c]) - log_sigma2[c];
    sum += std::max(log_ratio, 0.0) + std::log1p(std::exp(-std::fabs(log_ratio)));
  }
  return 0.5 * sum * kl_scale_;
}

double InformationBottleneckLayer::gamma() const {
  return parameter_.information_bottleneck_param().gamma() * context_.kl_weight * cost_factor_;
}

void InformationBottleneckLayer::settle(const std::vector<bool>& kept) {
  const float threshold = parameter_.information_bottleneck_param().threshold();
  float* mu = blobs_[0]->mutable_cpu_data();
  float* log_sigma2 = blobs_[1]->mutable_cpu_data();
  for (int c = 0; c < channels_; ++c) settle_unit(kept[c], threshold, mu + c, log_sigma2 + c);
}

std::vector<bool> InformationBottleneckLayer::kept() const {
  const float threshold = parameter_.information_bottleneck_param().threshold();
  std::vector<bool> kept(channels_);
  for (int c = 0; c < channels_; ++c)
    kept[c] = is_kept(blobs_[0]->cpu_data()[c], blobs_[1]->cpu_data()[c], threshold);
  return kept;
}

void InformationBottleneckLayer::draw_noise() {
  const RandomKey key = random_key();
  const std::uint32_t first_sample = static_cast<std::uint32_t>(context_.pass) * samples_;
  float* noise = noise_.mutable_cpu_data();
  parallel_for(samples_, grain_of(4LL * channels_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      for (int c = 0; c < channels_; c += 4) {
        const Random4 drawn = normal4(key, context_.iteration, first_sample + n, c / 4);
        std::copy_n(drawn.values, std::min(4, channels_ - c), noise + n * channels_ + c);
      }
    }
  });
}

void InformationBottleneckLayer::find_multipliers() {
  const float* mu = blobs_[0]->cpu_data();
  const float* log_sigma2 = blobs_[1]->cpu_data();
  float* multiplier = multiplier_.mutable_cpu_data();
  if (!is_training()) {
    const std::vector<bool> kept = this->kept();
    for (int i = 0; i < samples_ * channels_; ++i)
      multiplier[i] = kept[i % channels_] ? mu[i % channels_] : 0;
    return;
  }
  draw_noise();
  const float* noise = noise_.cpu_data();
  std::vector<float> sigma(channels_);
  for (int c = 0; c < channels_; ++c) sigma[c] = std::exp(0.5f * log_sigma2[c]);
  for (int n = 0; n < samples_; ++n)
    for (int c = 0; c < channels_; ++c)
      multiplier[n * channels_ + c] = mu[c] + sigma[c] * noise[n * channels_ + c];
}

void InformationBottleneckLayer::forward(const Blobs& bottom, const Blobs& top) {
  find_multipliers();
  const float* x = bottom[0]->cpu_data();
  const float* multiplier = multiplier_.cpu_data();
  float* y = top[0]->mutable_cpu_data();
  parallel_for(samples_ * channels_, grain_of(spatial_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      for (std::int64_t s = i * spatial_; s < (i + 1) * spatial_; ++s) y[s] = x[s] * multiplier[i];
  });
}

void InformationBottleneckLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                          const Blobs& bottom) {
  const float* x = bottom[0]->cpu_data();
  const float* dy = top[0]->cpu_diff();
  const float* multiplier = multiplier_.cpu_data();
  float* dx = propagate_down[0] ? bottom[0]->mutable_cpu_diff() : nullptr;
  float* sums = sums_.mutable_cpu_data();
  parallel_for(samples_ * channels_, grain_of(spatial_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::int64_t s = i * spatial_; s < (i + 1) * spatial_; ++s) sum += dy[s] * x[s];
      sums[i] = sum;
      if (dx == nullptr) continue;
      for (std::int64_t s = i * spatial_; s < (i + 1) * spatial_; ++s)
        dx[s] = dy[s] * multiplier[i];
    }
  });
  add_parameter_gradients();
}

void InformationBottleneckLayer::add_parameter_gradients() {
  const float* mu = blobs_[0]->cpu_data();
  const float* log_sigma2 = blobs_[1]->cpu_data();
  const float* noise = noise_.cpu_data();
  const float* sums = sums_.cpu_data();
  std::vector<float> by_mu(channels_);
  std::vector<float> by_noise(channels_);
  for (int n = 0; n < samples_; ++n) {
    for (int c = 0; c < channels_; ++c) {
      by_mu[c] += sums[n * channels_ + c];
      by_noise[c] += sums[n * channels_ + c] * noise[n * channels_ + c];
    }
  }
  const std::vector<bool> kept = this->kept();
  float* d_mu = blobs_[0]->mutable_cpu_diff();
  float* d_log_sigma2 = blobs_[1]->mutable_cpu_diff();
  for (int c = 0; c < channels_; ++c) {
    if (!is_training()) {
      if (learns(0) && kept[c]) d_mu[c] += by_mu[c];
      continue;
    }
    const double weight = gamma() * kl_scale_ / second_moment(mu[c], log_sigma2[c]);
    const double half_sigma = 0.5 * std::exp(0.5 * log_sigma2[c]);
    if (learns(0)) d_mu[c] += static_cast<float>(by_mu[c] + weight * mu[c]);
    if (learns(1))
      d_log_sigma2[c] +=
          static_cast<float>(half_sigma * by_noise[c] - 0.5 * weight * mu[c] * mu[c]);
  }
}

REGISTER_LAYER(InformationBottleneck, CPU, InformationBottleneckLayer);

}  // namespace vibnet
