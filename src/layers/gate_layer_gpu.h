#pragma once

// For the .cu files of the gates only.

#include <cstdint>
#include <memory>
#include <vector>

#include "layers/gate_layer.h"
#include "layers/loops_gpu.h"

namespace vibnet {

/// A unit's factor, and its derivatives by the unit's parameters, of which there are up to two.
struct GateFactor {
  float value;
  float by[2];
};

/// What a unit adds to a gate's kl(), and its derivatives likewise.
struct GateKL {
  double value;
  double by[2];
};

/// The factors of a pass, drawn where they are needed and never stored. `Rule`, for the device:
///   Random4 draw(key, iteration, sample, block)   four units' noise
///   GateFactor in_train(unit, noise)
///   GateFactor in_test(unit)
///   GateKL kl(unit)
template <typename Rule>
struct GateFactors {
  Rule rule;
  bool is_training;
  RandomKey key;
  std::uint64_t iteration;
  std::uint32_t first_sample;
  /// As in GateLayer.
  const int* numbers;
  const float* pressures;

  __device__ bool is_frozen(int unit) const { return numbers[unit] < 0; }
  __device__ GateFactor of(int sample, int unit) const {
    if (is_frozen(unit)) return {};
    if (!is_training) return rule.in_test(unit);
    const int number = numbers[unit];
    const Random4 noise = rule.draw(key, iteration, first_sample + sample, number / 4);
    return rule.in_train(unit, noise.values[number % 4]);
  }
  __device__ GateKL kl(int unit) const {
    if (is_frozen(unit) || pressures[unit] == 0) return {};
    return rule.kl(unit);
  }
};

/// A gate on the GPU: forward is one kernel, the units' kl() included, and backward one, or two
/// where several blocks share a channel.
template <typename Gate, typename Rule>
class GateOnGPU : public Gate {
 public:
  using Gate::Gate;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const GateFactors<Rule> factors = this->factors();
    const int channels = this->channels_;
    const int spatial = this->spatial_;
    const int lanes = this->lanes();
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    double* kls = kls_on_gpu();
    for_each_gpu(this->samples_ * channels * lanes, [=] __device__(int i) {
      const int row = i / lanes;
      const int lane = i % lanes;
      const float factor = factors.of(row / channels, row % channels).value;
      for (int s = lane; s < spatial; s += lanes)
        y[row * spatial + s] = x[row * spatial + s] * factor;
      if (row < channels && lane == 0) kls[row] = factors.kl(row).value;
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const GateFactors<Rule> factors = this->factors();
    const ChannelLayout at{this->samples_, this->channels_, this->spatial_};
    const int lanes = this->lanes();
    const double kl_weight = this->is_training() ? this->gradient_gamma() * this->kl_scale_ : 0;
    const float* x = bottom[0]->gpu_data();
    const float* dy = top[0]->gpu_diff();
    float* dx = propagate_down[0] ? bottom[0]->mutable_gpu_diff() : nullptr;
    float* gradients[2] = {gradient_on_gpu(0), gradient_on_gpu(1)};
    sum_by_threads_gpu(
        at.channels, at.values_of_channel(),
        [=] __device__(int c, int thread, int threads) {
          Sums sums{};
          for (int n = thread / lanes; n < at.samples; n += threads / lanes) {
            const GateFactor factor = factors.of(n, c);
            const int row = (n * at.channels + c) * at.values;
            float products = 0;
            for (int s = thread % lanes; s < at.values; s += lanes) {
              const int i = row + s;
              products += x[i] * dy[i];
              if (dx != nullptr) dx[i] = dy[i] * factor.value;
            }
            sums.add({products * factor.by[0], products * factor.by[1]});
          }
          return sums;
        },
        [=] __device__(int c, const Sums& sums) {
          if (factors.is_frozen(c)) return;
          const GateKL kl = factors.kl(c);
          if (gradients[0] != nullptr)
            gradients[0][c] += static_cast<float>(sums.first + kl_weight * kl.by[0]);
          if (gradients[1] != nullptr)
            gradients[1][c] += static_cast<float>(sums.second + kl_weight * kl.by[1]);
        });
  }

  /// Of what the last forward left.
  const float* kl_on_gpu() override {
    const auto* kls = static_cast<const double*>(kls_->gpu_data());
    const double scale = this->kl_scale_;
    kl_.reshape({});
    float* kl = kl_.mutable_gpu_data();
    sum_rows_gpu(
        1, this->channels_,
        [=] __device__(int, int c) {
          return Sums{kls[c], 0};
        },
        [=] __device__(int, const Sums& sums) { *kl = static_cast<float>(sums.first * scale); });
    return kl;
  }

  /// From what the last forward left, as long as the parameters are what it read.
  double kl() const override {
    if (this->stamps() != stamps_of_kls_) return Gate::kl();
    const double* kls = static_cast<const double*>(kls_->cpu_data());
    double sum = 0;
    for (int c = 0; c < this->channels_; ++c) sum += kls[c];
    return sum * this->kl_scale_;
  }

 protected:
  virtual Rule rule() const = 0;

 private:
  GateFactors<Rule> factors() const {
    return {rule(),
            this->is_training(),
            this->random_key(),
            static_cast<std::uint64_t>(this->context_.iteration),
            this->first_sample(),
            static_cast<const int*>(this->numbers_->gpu_data()),
            static_cast<const float*>(this->pressures_->gpu_data())};
  }

  /// How many threads share the values of a sample's channel, which all draw its factor.
  int lanes() const {
    int lanes = 1;
    while (lanes < 32 && 2 * lanes <= this->spatial_) lanes *= 2;
    return lanes;
  }

  float* gradient_on_gpu(int blob) {
    const bool is_wanted = blob < static_cast<int>(this->blobs_.size()) && this->learns(blob);
    return is_wanted ? this->blobs_[blob]->mutable_gpu_diff() : nullptr;
  }

  double* kls_on_gpu() {
    const std::size_t bytes = this->channels_ * sizeof(double);
    if (kls_ == nullptr || kls_->bytes() != bytes) kls_ = std::make_unique<SyncedMemory>(bytes);
    stamps_of_kls_ = this->samples_ > 0 ? this->stamps() : std::vector<std::uint64_t>();
    return static_cast<double*>(kls_->mutable_gpu_data());
  }

  std::unique_ptr<SyncedMemory> kls_;
  Blob kl_;
  std::vector<std::uint64_t> stamps_of_kls_;
};

}  // namespace vibnet
