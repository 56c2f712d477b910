#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/gate_rule.h"
#include "layers/channelwise_layer.h"
#include "simd/kernels.h"

namespace vibnet {

/// A drawn factor, and its derivative by the parameter that the noise acts through.
struct GateDraw {
  float factor;
  float slope;
};

/// What pulls at a gate's parameters: the squares of its gradients' two parts, summed.
struct GatePull {
  double kl = 0;
  double data = 0;
};

/// A layer that multiplies each channel by a factor of its own, and learns which channels can go.
///
/// Bottom and top: N x C x .... Each channel is a unit. TRAIN: y[n,c,s] = x[n,c,s] z[n,c], z drawn
/// anew for each sample and unit. TEST: y = x times the unit's factor if it is kept, else 0; see
/// core/gate_rule.h. Adds gamma * kl_weight * kl() to the objective. A unit's noise hangs on its
/// number, which `unit` states for a layer that has been cut; so what is left of a net draws what
/// it drew as a part of the whole.
class GateLayer : public ChannelwiseLayer {
 public:
  float default_decay_mult(int /*index*/) const override { return 0; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& bottom, const Blobs& top) const override;
  bool runs_in_place() const override { return false; }
  /// In TRAIN each sample's unit has a factor of its own.
  bool is_elementwise() const override { return is_training() && spatial_ == 1; }
  void begin_forward(const Blobs& bottom) override;
  void forward_block(const ChannelBlock& block, const float* x, float* y) override;
  void begin_backward(int parts) override;
  bool runs_by_planes() const override { return true; }
  void forward_planes(float slope, const float* x, float* y) override;
  void backward_planes(float slope, const float* x, const float* y, const float* dy,
                       float* dx) override;
  /// In TRAIN. A factor of 0, which nothing can be restored from, is a shut unit's, a
  /// HardConcrete's, whose slope is 0 there too, or a draw in many millions.
  bool inverts() const override { return is_training(); }
  void backward_block(const ChannelBlock& block, const float* x, const float* y, const float* dy,
                      float* dx) override;
  void end_backward(const std::vector<bool>& propagate_down, const Blobs& bottom) override;
  double penalty() const override { return gamma() * kl(); }

  /// What the units cost the more the further they are open, summed, times the layer's kl_scale.
  virtual double kl() const = 0;
  /// kl() as a value on the GPU in use, by work of this thread's stream; null for a gate that runs
  /// on the CPU.
  virtual const float* kl_on_gpu() { return nullptr; }
  /// Of an iteration's gradients, between its last backward and its update: what the kept units
  /// that are pressed got.
  GatePull pull() const;
  /// The weight of kl() in the objective: the layer's gamma times the solver's kl_weight, times the
  /// cost factor.
  double gamma() const { return gamma_ * context_.kl_weight * cost_factor_; }
  /// gamma() for a kl_weight of 1.
  double own_gamma() const { return gamma_ * cost_factor_; }
  /// The same for its gradient, which the ranks sum: on the first alone.
  double gradient_gamma() const { return context_.ranks->is_first() ? gamma() : 0; }
  /// What kl_cost multiplies gamma by.
  void set_cost_factor(double factor) { cost_factor_ = factor; }

  int units() const { return channels_; }
  /// The number that a unit had before any was cut, and how many there were.
  int number_of(int unit) const {
    return unit_.empty() ? unit : static_cast<int>(unit_[static_cast<std::size_t>(unit)]);
  }
  int whole_units() const;
  /// Per unit: it is kept while this is below the layer's threshold. Infinite for a frozen one.
  std::vector<float> scores() const;
  std::vector<bool> kept() const;
  /// Per unit: what TEST multiplies by, 0 for one that is not kept.
  std::vector<float> test_factors() const;

  /// Moves the units to the sides of the threshold that `kept` names; see settle_gate().
  void settle(const std::vector<bool>& kept);

  /// Remembers on which side of the threshold each unit is; and moves them back there, once their
  /// parameters have been updated.
  virtual void note_sides() { sides_ = kept(); }
  virtual void keep_sides() { settle(sides_); }

  /// These units are dead for good: their factor is 0 in both phases and in whatever net has their
  /// parameters, they add nothing to kl(), and their parameters and bottom values get no gradient.
  /// Others that were frozen before stay so.
  void freeze(const std::vector<bool>& dead);
  std::vector<bool> frozen() const;

  /// Only the other units are pressed from here on: these add nothing to kl().
  void spare(const std::vector<bool>& units);
  std::vector<bool> spared() const;

 protected:
  static constexpr int kFrozen = -1;
  enum class Noise { NORMAL, UNIFORM };

  /// `gate`: the layer's own parameter message, with gamma, kl_scale and unit.
  template <typename Parameter>
  GateLayer(const LayerParameter& parameter, const Context& context, const Parameter& gate)
      : ChannelwiseLayer(parameter, context),
        gamma_(gate.gamma()),
        kl_scale_kind_(gate.kl_scale()),
        unit_(gate.unit().begin(), gate.unit().end()) {}

  /// Checks bottom, gamma and unit, and makes a parameter blob for each of these fillers.
  void set_up_gate(const Blobs& bottom, const std::vector<FillerParameter>& fillers);
  /// What is to be done with a sample whose factors have just been drawn, on any thread.
  using SampleVisit = std::function<void(std::int64_t sample)>;
  /// TRAIN: the factors of this iteration's samples, by set_factors.
  virtual void draw_factors(const SampleVisit& visit) = 0;
  /// The gradient of `weight` times what a unit adds to kl(), by its value in each of blobs().
  virtual std::array<double, 2> kl_gradient(int unit, double weight) const = 0;
  /// Adds to the diffs of blobs(), from sums_ and, in TRAIN, slopes_.
  virtual void add_gradients() = 0;

  bool is_training() const { return context_.phase == TRAIN; }
  /// Of what the factors of TEST and kl() hang on; see SyncedMemory.
  std::vector<std::uint64_t> stamps() const;
  std::uint32_t first_sample() const {
    return static_cast<std::uint32_t>(context_.first_sample(context_.pass, samples_));
  }
  /// Per unit: the number that its noise hangs on, or kFrozen.
  const int* numbers() const { return static_cast<const int*>(numbers_->cpu_data()); }
  /// Per unit: 1, or 0 for one that is spared.
  const float* pressures() const { return static_cast<const float*>(pressures_->cpu_data()); }

  /// What the noise of one sample's units makes of their factors and slopes.
  using Drawn = std::function<void(const float* noise, float* factors, float* slopes)>;
  /// Draws each sample's and unit's noise, and sets factors and slopes to what `of` makes of it,
  /// and of frozen units to 0; then visits the sample.
  void set_factors(Noise noise, const Drawn& of, const SampleVisit& visit);
  /// Per unit: sum_n sum_s dL/dy x, and in TRAIN the same with each sample's slope.
  struct UnitSums {
    std::vector<float> plain;
    std::vector<float> sloped;
  };
  UnitSums sum_samples() const;

  int samples_ = 0;
  int channels_ = 0;
  int spatial_ = 0;
  double kl_scale_ = 1;
  std::unique_ptr<SyncedMemory> numbers_;
  std::unique_ptr<SyncedMemory> pressures_;

  /// N x C: the slope of each factor.
  Blob slopes_;
  /// N x C: sum_s dL/dy x.
  Blob sums_;
  /// N x C in TRAIN, C in TEST.
  Blob factors_;

 private:
  std::vector<GateUnit> gate_units() const;
  void set_test_factors();
  /// Of each of blobs().
  std::vector<float*> mutable_values();
  void check_units(const std::vector<bool>& units) const;
  template <typename Visit>
  void for_each_unit(const ChannelBlock& block, const Visit& visit) const;
  void multiply(const ChannelBlock& block, const float* from, float* to) const;
  std::ptrdiff_t sample_size() const { return std::ptrdiff_t{channels_} * spatial_; }
  template <typename Visit>
  void for_planes(const Visit& visit) const;
  GatedPlanes gated(std::int64_t plane, int planes, float slope) const;

  const float* factors_now_ = nullptr;
  std::vector<std::uint64_t> stamps_of_factors_;
  float* sums_now_ = nullptr;
  float gamma_;
  double cost_factor_ = 1;
  InformationBottleneckParameter::KLScale kl_scale_kind_;
  std::vector<std::uint32_t> unit_;
  std::vector<bool> sides_;
};

}  // namespace vibnet
