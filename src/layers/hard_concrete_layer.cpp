#include "layers/hard_concrete_layer.h"

#include <cmath>

#include "vibnet/registry.h"

namespace vibnet {

void HardConcreteLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  const HardConcreteParameter& parameter = gate();
  if (!(parameter.beta() > 0)) fail("beta: ", parameter.beta(), " must be above 0");
  if (!(parameter.left() < 0) || std::isinf(parameter.left()))
    fail("left: ", parameter.left(), " must be below 0");
  if (!(parameter.right() > 1) || std::isinf(parameter.right()))
    fail("right: ", parameter.right(), " must be above 1");
  FillerParameter filler = parameter.log_alpha_filler();
  if (!parameter.has_log_alpha_filler()) {
    filler.set_type("gaussian");
    filler.set_mean(2.2f);
    filler.set_std(0.01f);
  }
  set_up_gate(bottom, {filler});
}

double HardConcreteLayer::open_shift() const {
  return gate().beta() * std::log(-double{gate().left()} / gate().right());
}

double HardConcreteLayer::open_probability(int unit) const {
  return precise_sigmoid(blobs_[0]->cpu_data()[unit] - open_shift());
}

double HardConcreteLayer::kl() const {
  double sum = 0;
  for (int c = 0; c < channels_; ++c)
    if (numbers()[c] != kFrozen) sum += pressures()[c] * open_probability(c);
  return sum * kl_scale_;
}

std::array<double, 2> HardConcreteLayer::kl_gradient(int unit, double weight) const {
  const double open = open_probability(unit);
  return {weight * pressures()[unit] * open * (1 - open), 0};
}

void HardConcreteLayer::draw_factors(const SampleVisit& visit) {
  const float* log_alpha = blobs_[0]->cpu_data();
  const StretchedSigmoid gate = stretched_sigmoid();
  const float beta = this->gate().beta();
  const auto of = [&](const float* noise, float* factors, float* slopes) {
    for (int c = 0; c < channels_; ++c) {
      const float u = noise[c];
      const GateDraw drawn =
          gate.at((std::log(u) - std::log1p(-u) + log_alpha[c]) / beta, 1 / beta);
      factors[c] = drawn.factor;
      slopes[c] = drawn.slope;
    }
  };
  set_factors(Noise::UNIFORM, of, visit);
}

void HardConcreteLayer::add_gradients() {
  if (!learns(0)) return;
  const float* log_alpha = blobs_[0]->cpu_data();
  float* d_log_alpha = blobs_[0]->mutable_cpu_diff();
  const UnitSums sums = sum_samples();
  const std::vector<float>& by_log_alpha = is_training() ? sums.sloped : sums.plain;
  for (int c = 0; c < channels_; ++c) {
    if (numbers()[c] == kFrozen) continue;
    if (!is_training()) {
      d_log_alpha[c] += by_log_alpha[c] * stretched_sigmoid().at(log_alpha[c], 1).slope;
      continue;
    }
    const double of_kl = kl_gradient(c, gradient_gamma() * kl_scale_)[0];
    d_log_alpha[c] += static_cast<float>(by_log_alpha[c] + of_kl);
  }
}

REGISTER_LAYER(HardConcrete, CPU, HardConcreteLayer);

}  // namespace vibnet
