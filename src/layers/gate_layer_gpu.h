#pragma once

// For the .cu files of the gates only.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "layers/channel_pass_gpu.h"
#include "layers/gate_layer.h"

namespace vibnet {

/// A gate on the GPU. `Rule`: see GateFactors.
template <typename Gate, typename Rule>
class GateOnGPU : public ChannelwiseOnGPU<Gate> {
 public:
  using ChannelwiseOnGPU<Gate>::ChannelwiseOnGPU;

  PassMember forward_member(const Blobs& /*bottom*/) override {
    return GateMember<Rule>{factors(), 0, {nullptr, nullptr}, kls_on_gpu()};
  }

  PassMember backward_member(const std::vector<bool>& /*propagate_down*/,
                             const Blobs& /*bottom*/) override {
    const bool has_kl = this->is_training() && this->context_.ranks->is_first();
    const double kl_scale = has_kl ? this->own_gamma() * this->kl_scale_ : 0;
    const GateMember<Rule> gate{
        factors(), kl_scale, {gradient_on_gpu(0), gradient_on_gpu(1)}, nullptr};
    PassMember member = gate;
    member.has_sums = gate.gradients[0] != nullptr || gate.gradients[1] != nullptr;
    return member;
  }

  void note_sides() override {
    const GateFactors<Rule> factors = this->factors();
    if (sides_ == nullptr) sides_ = std::make_unique<SyncedMemory>(this->channels_ * sizeof(int));
    auto* sides = static_cast<int*>(sides_->mutable_gpu_data());
    for_each_gpu(this->channels_, [=] __device__(int c) {
      sides[c] = !factors.is_frozen(c) && factors.rule.is_kept(c);
    });
  }
  void keep_sides() override {
    const Rule rule = this->rule();
    const auto* sides = static_cast<const int*>(sides_->gpu_data());
    float* first = this->blobs_.front()->mutable_gpu_data();
    float* last = this->blobs_.back()->mutable_gpu_data();
    for_each_gpu(this->channels_, [=] __device__(int c) {
      float* const blobs[] = {first, last};
      rule.settle(c, sides[c] != 0, blobs);
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
    if (!has_kls()) return Gate::kl();
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
            StepOnGpu(this->context_),
            this->samples_,
            static_cast<const int*>(this->numbers_->gpu_data()),
            static_cast<const float*>(this->pressures_->gpu_data())};
  }

  /// Whether the last forward's kl() is that of the parameters as they are.
  bool has_kls() const {
    const std::vector<std::uint64_t> stamps = this->stamps();
    return kls_ != nullptr && kls_->stamp() > *std::max_element(stamps.begin(), stamps.end());
  }

  float* gradient_on_gpu(int blob) {
    const bool is_wanted = blob < static_cast<int>(this->blobs_.size()) && this->learns(blob);
    return is_wanted ? this->blobs_[blob]->mutable_gpu_diff() : nullptr;
  }

  double* kls_on_gpu() {
    const std::size_t bytes = this->channels_ * sizeof(double);
    if (kls_ == nullptr || kls_->bytes() != bytes) kls_ = std::make_unique<SyncedMemory>(bytes);
    return static_cast<double*>(kls_->mutable_gpu_data());
  }

  std::unique_ptr<SyncedMemory> kls_;
  /// Per unit: whether it is kept.
  std::unique_ptr<SyncedMemory> sides_;
  Blob kl_;
};

}  // namespace vibnet
