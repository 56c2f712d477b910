#include "solver/target_control.h"

#include <algorithm>
#include <cmath>

namespace vibnet {
namespace {

constexpr double kIntegral = 20;
constexpr double kProportional = 1;
/// The most that log kl_weight changes over a whole run, per unit of it; and away from its start.
constexpr double kFastest = 40;
constexpr double kFarthest = 9;

}  // namespace

void TargetControl::steer(double done, double since, double margin, double most) {
  if (started_ == 0) {
    started_ = 1;
    start_ = std::min(margin, 0.0);
    start_kl_weight_ = kl_weight_;
  }
  const double wanted = start_ * std::max(0.0, 1 - done / kRamp);
  const double error = std::clamp(wanted - margin, -10.0, 10.0);
  const double change = kIntegral * error * since + kProportional * (error - error_);
  const double allowed = std::min(change, std::log(most / kl_weight_));
  const double fastest = kFastest * since;
  error_ = error;
  const double moved =
      std::log(kl_weight_ / start_kl_weight_) + std::clamp(allowed, -fastest, fastest);
  kl_weight_ = start_kl_weight_ * std::exp(std::clamp(moved, -kFarthest, kFarthest));
}

void TargetControl::restore(double kl_weight, const double* memory) {
  kl_weight_ = kl_weight;
  started_ = memory[0];
  start_ = memory[1];
  error_ = memory[2];
  start_kl_weight_ = memory[3];
}

}  // namespace vibnet
