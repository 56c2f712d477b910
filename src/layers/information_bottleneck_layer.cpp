#include "layers/information_bottleneck_layer.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

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

/// About how many values take as long as a unit's exponential.
constexpr int kValuesOfAUnit = 64;

}  // namespace

/// Calls visit(unit), on all threads where units are many.
template <typename Visit>
void InformationBottleneckLayer::on_all_units(const Visit& visit) const {
  parallel_for(channels_, grain_of(kValuesOfAUnit), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) visit(static_cast<int>(c));
  });
}

void InformationBottleneckLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  const auto& parameter = parameter_.information_bottleneck_param();
  set_up_gate(bottom, {parameter.has_mu_filler() ? parameter.mu_filler() : gaussian(1, 0.01f),
                       parameter.has_log_sigma2_filler() ? parameter.log_sigma2_filler()
                                                         : gaussian(-9, 0.01f)});
}

double InformationBottleneckLayer::kl() const {
  const float* mu = blobs_[0]->cpu_data();
  const float* log_sigma2 = blobs_[1]->cpu_data();
  const int* numbers = this->numbers();
  const float* pressures = this->pressures();
  std::vector<double> of_units(channels_);
  on_all_units([&](int c) {
    if (numbers[c] != kFrozen) of_units[c] = pressures[c] * bottleneck_kl(mu[c], log_sigma2[c]);
  });
  return kl_scale_ * std::accumulate(of_units.begin(), of_units.end(), 0.0);
}

std::array<double, 2> InformationBottleneckLayer::kl_gradient(int unit, double weight) const {
  const float mu = blobs_[0]->cpu_data()[unit];
  const float log_sigma2 = blobs_[1]->cpu_data()[unit];
  const double by_moment = weight * pressures()[unit] / second_moment(mu, log_sigma2);
  return {by_moment * mu, -0.5 * by_moment * mu * mu};
}

void InformationBottleneckLayer::draw_factors(const SampleVisit& visit) {
  const float* mu = blobs_[0]->cpu_data();
  const float* log_sigma2 = blobs_[1]->cpu_data();
  std::vector<float> sigma(channels_);
  on_all_units([&](int c) { sigma[c] = std::exp(0.5f * log_sigma2[c]); });
  const int channels = channels_;
  const auto of = [&](const float* noise, float* factors, float* slopes) {
    for (int c = 0; c < channels; ++c) factors[c] = mu[c] + sigma[c] * noise[c];
    std::copy_n(noise, channels, slopes);
  };
  set_factors(Noise::NORMAL, of, visit);
}

void InformationBottleneckLayer::add_gradients() {
  const float* log_sigma2 = blobs_[1]->cpu_data();
  const int* numbers = this->numbers();
  const auto [by_mu, by_sigma] = sum_samples();
  float* d_mu = blobs_[0]->mutable_cpu_diff();
  if (!is_training()) {
    const std::vector<bool> kept = this->kept();
    for (int c = 0; learns(0) && c < channels_; ++c)
      if (kept[c]) d_mu[c] += by_mu[c];
    return;
  }
  float* d_log_sigma2 = blobs_[1]->mutable_cpu_diff();
  const double kl_weight = gradient_gamma() * kl_scale_;
  on_all_units([&, &of_mu = by_mu, &of_sigma = by_sigma](int c) {
    if (numbers[c] == kFrozen) return;
    const std::array<double, 2> of_kl = kl_gradient(c, kl_weight);
    const double half_sigma = 0.5 * std::exp(0.5 * log_sigma2[c]);
    if (learns(0)) d_mu[c] += static_cast<float>(of_mu[c] + of_kl[0]);
    if (learns(1)) d_log_sigma2[c] += static_cast<float>(half_sigma * of_sigma[c] + of_kl[1]);
  });
}

REGISTER_LAYER(InformationBottleneck, CPU, InformationBottleneckLayer);

}  // namespace vibnet
