#pragma once

// For the .cu files of the gates only.

#include "core/block_sum.h"
#include "core/cuda.h"
#include "layers/gate_layer.h"

namespace vibnet {

/// y = x times the factor of its sample and channel; there are `period` factors, used in turn.
void multiply_gpu(int count, int spatial, int period, const float* x, const float* factors,
                  float* y);
/// sums[row] = sum_s x dy, the same way in every run.
void sum_products_gpu(int rows, int spatial, const float* x, const float* dy, float* sums);

/// Where a gate's noise comes from; `numbers` as in GateLayer.
struct NoiseSource {
  RandomKey key;
  std::uint64_t iteration;
  std::uint32_t first_sample;
  const int* numbers;
};

/// A thread for each sample and four channels. `Rule`: Random4 draw(key, iteration, sample, block)
/// and GateDraw of(unit, its noise).
template <typename Rule>
__global__ void draw_gate_factors(NoiseSource source, int samples, int channels, Rule rule,
                                  float* slopes, float* factors) {
  const int quads = (channels + 3) / 4;
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= samples * quads) return;
  const int n = i / quads;
  const int first = i % quads * 4;
  Random4 drawn;
  int block = -1;  // the block that `drawn` holds
  for (int c = first; c < first + 4 && c < channels; ++c) {
    const int number = source.numbers[c];
    if (number >= 0 && number / 4 != block) {
      block = number / 4;
      drawn = rule.draw(source.key, source.iteration, source.first_sample + n, block);
    }
    const GateDraw gate = number >= 0 ? rule.of(c, drawn.values[number % 4]) : GateDraw{0, 0};
    factors[n * channels + c] = gate.factor;
    slopes[n * channels + c] = gate.slope;
  }
}

/// One block. `Kl`: what a unit costs.
template <typename Kl>
__global__ void sum_kl(int channels, const int* numbers, Kl kl, double scale, float* sum) {
  double own = 0;
  for (int c = threadIdx.x; c < channels; c += kThreadsPerBlock)
    if (numbers[c] >= 0) own += kl.of(c);
  own = sum_over_block<kThreadsPerBlock>(own);
  if (threadIdx.x == 0) *sum = static_cast<float>(own * scale);
}

/// A gate on the GPU: what all have in common. TEST factors come from the CPU, C of them a pass.
template <typename Gate>
class GateOnGPU : public Gate {
 public:
  using Gate::Gate;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int count = bottom[0]->count();
    if (count == 0) return;
    this->is_training() ? draw_factors_gpu() : this->set_test_factors();
    multiply_gpu(count, this->spatial_, this->factors_.count(), bottom[0]->gpu_data(),
                 this->factors_.gpu_data(), top[0]->mutable_gpu_data());
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!this->is_training()) return Gate::backward(top, propagate_down, bottom);
    const int count = bottom[0]->count();
    if (count == 0) return;
    sum_products_gpu(this->samples_ * this->channels_, this->spatial_, bottom[0]->gpu_data(),
                     top[0]->gpu_diff(), this->sums_.mutable_gpu_data());
    add_gradients_gpu();
    if (!propagate_down[0]) return;
    multiply_gpu(count, this->spatial_, this->factors_.count(), top[0]->gpu_diff(),
                 this->factors_.gpu_data(), bottom[0]->mutable_gpu_diff());
  }

 protected:
  virtual void draw_factors_gpu() = 0;
  virtual void add_gradients_gpu() = 0;

  const int* numbers_gpu() const { return static_cast<const int*>(this->numbers_->gpu_data()); }
  float* diff_gpu(int blob) {
    return this->learns(blob) ? this->blobs_[blob]->mutable_gpu_diff() : nullptr;
  }

  template <typename Kl>
  const float* sum_kl_gpu(const Kl& kl) {
    kl_.reshape({1});
    sum_kl<<<1, kThreadsPerBlock>>>(this->channels_, numbers_gpu(), kl, this->kl_scale_,
                                    kl_.mutable_gpu_data());
    check_launch("sum_kl");
    return kl_.gpu_data();
  }

  template <typename Rule>
  void draw_factors_gpu(const Rule& rule) {
    const long long threads = 1LL * this->samples_ * ((this->channels_ + 3) / 4);
    const NoiseSource source{this->random_key(),
                             static_cast<std::uint64_t>(this->context_.iteration),
                             this->first_sample(), numbers_gpu()};
    draw_gate_factors<<<blocks_for(threads), kThreadsPerBlock>>>(
        source, this->samples_, this->channels_, rule, this->slopes_.mutable_gpu_data(),
        this->factors_.mutable_gpu_data());
    check_launch("draw_gate_factors");
  }

 private:
  Blob kl_;
};

}  // namespace vibnet
