#include "layers/information_bottleneck_layer.h"

#include <algorithm>
#include <cmath>

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

}  // namespace

void InformationBottleneckLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  const auto& parameter = parameter_.information_bottleneck_param();
  set_up_gate(bottom, {parameter.has_mu_filler() ? parameter.mu_filler() : gaussian(1, 0.01f),
                       parameter.has_log_sigma2_filler() ? parameter.log_sigma2_filler()
                                                         : gaussian(-9, 0.01f)});
}

double InformationBottleneckLayer::kl() const {
  const float* mu = blobs_[0]->cpu_data();
  const float* log_sigma2 = blobs_[1]->cpu_data();
  double sum = 0;
  for (int c = 0; c < channels_; ++c)
    if (numbers()[c] != kFrozen) sum += pressures()[c] * bottleneck_kl(mu[c], log_sigma2[c]);
  return sum * kl_scale_;
}

std::array<double, 2> InformationBottleneckLayer::kl_gradient(int unit, double weight) const {
  const float mu = blobs_[0]->cpu_data()[unit];
  const float log_sigma2 = blobs_[1]->cpu_data()[unit];
  const double by_moment = weight * pressures()[unit] / second_moment(mu, log_sigma2);
  return {by_moment * mu, -0.5 * by_moment * mu * mu};
}

void InformationBottleneckLayer::draw_factors() {
  const float* mu = blobs_[0]->cpu_data();
  const float* log_sigma2 = blobs_[1]->cpu_data();
  std::vector<float> sigma(channels_);
  for (int c = 0; c < channels_; ++c) sigma[c] = std::exp(0.5f * log_sigma2[c]);
  const int channels = channels_;
  set_factors(Noise::NORMAL, [&](const float* noise, float* factors, float* slopes) {
    for (int c = 0; c < channels; ++c) factors[c] = mu[c] + sigma[c] * noise[c];
    std::copy_n(noise, channels, slopes);
  });
}

void InformationBottleneckLayer::add_gradients() {
  const float* log_sigma2 = blobs_[1]->cpu_data();
  const auto [by_mu, by_sigma] = sum_samples();
  const std::vector<bool> kept = is_training() ? std::vector<bool>() : this->kept();
  float* d_mu = blobs_[0]->mutable_cpu_diff();
  float* d_log_sigma2 = blobs_[1]->mutable_cpu_diff();
  for (int c = 0; c < channels_; ++c) {
    if (numbers()[c] == kFrozen) continue;
    if (!is_training()) {
      if (learns(0) && kept[c]) d_mu[c] += by_mu[c];
      continue;
    }
    const std::array<double, 2> of_kl = kl_gradient(c, gradient_gamma() * kl_scale_);
    const double half_sigma = 0.5 * std::exp(0.5 * log_sigma2[c]);
    if (learns(0)) d_mu[c] += static_cast<float>(by_mu[c] + of_kl[0]);
    if (learns(1)) d_log_sigma2[c] += static_cast<float>(half_sigma * by_sigma[c] + of_kl[1]);
  }
}

REGISTER_LAYER(InformationBottleneck, CPU, InformationBottleneckLayer);

}  // namespace vibnet
