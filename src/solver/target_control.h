#pragma once

#include <vector>

namespace vibnet {

/// Steers the pressure so that the units which the target has no room for die in time.
///
/// What is controlled is the score of the marginal unit: the one up to which the ranking of all
/// units, but for some that do not fit, costs what the target allows. It answers to the pressure at
/// once and smoothly, where the cost does so late and in steps. It is led from where it is at the
/// beginning up to the threshold along a straight line, by a proportional-integral controller of
/// log kl_weight.
class TargetControl {
 public:
  static constexpr double kRamp = 0.6;
  /// `kl_weight` is where the pressure starts.
  explicit TargetControl(double kl_weight) : kl_weight_(kl_weight) {}

  double kl_weight() const { return kl_weight_; }
  /// `done` is the share of the run that is over, `since` what of it has passed since the last
  /// time; `margin` the marginal unit's score less its threshold; `most` the most that kl_weight
  /// may be: it comes down to that as fast as it may change.
  void steer(double done, double since, double margin, double most);

  /// All that a resumed run needs besides the kl_weight.
  std::vector<double> memory() const { return {started_, start_, error_, start_kl_weight_}; }
  static constexpr int kMemory = 4;
  void restore(double kl_weight, const double* memory);

 private:
  double kl_weight_;
  double started_ = 0;
  double start_ = 0;
  double error_ = 0;
  double start_kl_weight_ = 0;
};

}  // namespace vibnet
