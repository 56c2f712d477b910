#include "layers/channel_pass.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "layers/channel_partition.h"
#include "layers/channel_pass_gpu.h"
#include "math/scratch_gpu.h"

namespace vibnet {
namespace {

/// A pass's layers by value. What is done to each of them is unrolled, so that what a thread has of
/// it stays in registers. Formulas take more of these: only chains that have one pay for it.
template <int kMembers, bool kHasFormula>
struct Chain {
  PassMember members[kMembers];
  /// The one that is a gate, or -1.
  int gate = -1;
  /// Whether the first is a BatchNorm whose moments hang on x.
  bool finishes = false;

  __device__ void find_coefficients(const PartitionPlace& place,
                                    Coefficients (&of)[kMembers]) const {
    if (!place.is_there) return;
#pragma unroll
    for (int i = 0; i < kMembers; ++i) of[i] = members[i].at(place.channel);
  }
  __device__ void set_gate(const GateFactor& factor, Coefficients (&of)[kMembers]) const {
#pragma unroll
    for (int i = 0; i < kMembers; ++i)
      if (i == gate) of[i].factor = factor.value;
  }
  __device__ float value(int i, const Coefficients& of, float x) const {
    if (is_formula(i)) return members[i].formula.value(x);
    if (members[i].kind != PassMember::Kind::RECTIFIER)
      return (x - of.center) * of.factor + of.shift;
    return x > 0 ? fminf(x, members[i].rectifier.ceiling) : of.factor * x;
  }
  /// dL/dx of dL/dy.
  __device__ float gradient(int i, const Coefficients& of, float x, float dy) const {
    if (is_formula(i)) return dy * members[i].formula.slope(x);
    const bool is_rectified = members[i].kind == PassMember::Kind::RECTIFIER && x > 0;
    if (!is_rectified) return of.factor * dy;
    return x < members[i].rectifier.ceiling ? dy : 0;
  }
  __device__ bool is_formula(int i) const {
    return kHasFormula && members[i].kind == PassMember::Kind::FORMULA;
  }
};

/// Calls body(unit, factor) for each of a thread's units, with the factor that the gate has drawn
/// for it, once for the block.
template <int kMembers, bool kHasFormula, typename Body>
__device__ void each_unit(const Partition& cut, const PartitionPlace& place,
                          const Chain<kMembers, kHasFormula>& chain, const Body& body) {
  __shared__ GateFactor drawn[kPassThreads];
  const int units = kPassThreads / cut.channels;
  const int end = cut.first_unit(place.part + 1);
  for (int begin = cut.first_unit(place.part); begin < end; begin += units) {
    const int stop = min(end, begin + units);
    if (chain.gate >= 0) {
      const int unit = begin + static_cast<int>(threadIdx.x) / cut.channels;
      const int channel = place.group * cut.channels + static_cast<int>(threadIdx.x) % cut.channels;
      __syncthreads();
      if (unit < stop && channel < cut.layout.channels)
        drawn[threadIdx.x] = chain.members[chain.gate].draw(unit / cut.pieces, channel);
      __syncthreads();
    }
    if (!place.is_there) continue;
    for (int unit = begin + place.row; unit < stop; unit += cut.rows())
      body(unit,
           chain.gate < 0 ? GateFactor{1, {1, 0}} : drawn[(unit - begin) * cut.channels + place.k]);
  }
}

template <int kMembers, bool kHasFormula, int kWidth>
__global__ void __launch_bounds__(kPassThreads)
    pass_forward(const __grid_constant__ Partition cut,
                 const __grid_constant__ Chain<kMembers, kHasFormula> chain, const float* x,
                 float* y) {
  const PartitionPlace place(cut);
  Coefficients of[kMembers];
  chain.find_coefficients(place, of);
  if (chain.gate >= 0 && place.part == 0 && place.is_there && threadIdx.x < cut.lanes &&
      place.first_vector == 0)
    chain.members[chain.gate].keep_kl(place.channel);
  each_unit(cut, place, chain, [&](int unit, const GateFactor& factor) {
    chain.set_gate(factor, of);
    place.template each_vector<kWidth>(cut, unit, [&](int offset) {
      auto values = Vector<kWidth>::of(x + offset);
#pragma unroll
      for (int w = 0; w < kWidth; ++w)
#pragma unroll
        for (int i = 0; i < kMembers; ++i) values.at[w] = chain.value(i, of[i], values.at[w]);
      values.write_to(y + offset);
    });
  });
}

/// Has the members make gradients of what the threads have summed.
template <int kMembers, bool kHasFormula>
__device__ void finish(const Partition& cut, const PartitionPlace& place,
                       const Chain<kMembers, kHasFormula>& chain, const float (&products)[kMembers],
                       const float (&sums)[kMembers], Sums* of_parts) {
  Sums own[kMembers];
#pragma unroll
  for (int i = 0; i < kMembers; ++i) own[i] = {products[i], sums[i]};
  __shared__ Sums totals[kWarp][kMembers];
  if (!sum_over_parts(cut, place, own, of_parts, totals)) return;
  const int k = static_cast<int>(threadIdx.x);
  const int channel = place.group * cut.channels + k;
  if (k >= cut.channels || channel >= cut.layout.channels) return;
#pragma unroll
  for (int i = 0; i < kMembers; ++i)
    if (chain.members[i].has_sums) chain.members[i].finish(channel, totals[k][i]);
}

/// What backward reads and writes.
struct Gradient {
  /// Null where no member asks for it.
  const float* x;
  const float* dy;
  /// Null where it is not wanted, or not yet known.
  float* dx;
  /// See sum_over_parts.
  Sums* of_parts;
};

/// Takes the sums over each channel, or writes dx, or does both.
template <int kMembers, bool kHasFormula, int kWidth, bool kSums>
__global__ void __launch_bounds__(kPassThreads)
    pass_backward(const __grid_constant__ Partition cut,
                  const __grid_constant__ Chain<kMembers, kHasFormula> chain,
                  const Gradient gradient) {
  const PartitionPlace place(cut);
  Coefficients of[kMembers];
  chain.find_coefficients(place, of);
  float products[kMembers] = {};
  float sums[kMembers] = {};
  // What the batch's mean and variance take off dx, as they hang on x.
  float of_mean = 0;
  float of_variance = 0;
  if (!kSums && chain.finishes && place.is_there) {
    const BatchStatsMember& stats = chain.members[0].batch_stats;
    const float scale = of[0].factor;
    of_mean = static_cast<float>(stats.sums[place.channel] / stats.count) * scale;
    of_variance =
        static_cast<float>(stats.products[place.channel] / stats.count) * scale * scale * scale;
  }
  each_unit(cut, place, chain, [&](int unit, const GateFactor& factor) {
    chain.set_gate(factor, of);
    float products_of_gate = 0;
    place.template each_vector<kWidth>(cut, unit, [&](int offset) {
      Vector<kWidth> x{};
      if (gradient.x != nullptr) x = Vector<kWidth>::of(gradient.x + offset);
      auto d = Vector<kWidth>::of(gradient.dy + offset);
#pragma unroll
      for (int w = 0; w < kWidth; ++w) {
        float before[kMembers];
        before[0] = x.at[w];
#pragma unroll
        for (int i = 1; i < kMembers; ++i) before[i] = chain.value(i - 1, of[i - 1], before[i - 1]);
#pragma unroll
        for (int i = kMembers - 1; i >= 0; --i) {
          const float distance = before[i] - of[i].center;
          if (kSums && chain.members[i].has_sums) {
            const bool is_rectifier = chain.members[i].kind == PassMember::Kind::RECTIFIER;
            const float product = is_rectifier && distance > 0 ? 0 : d.at[w] * distance;
            if (i == chain.gate) {
              products_of_gate += product;
            } else {
              products[i] += product;
              sums[i] += d.at[w];
            }
          }
          d.at[w] = chain.gradient(i, of[i], before[i], d.at[w]);
          if (i == 0 && !kSums && chain.finishes) d.at[w] -= of_mean + of_variance * distance;
        }
      }
      if (gradient.dx != nullptr) d.write_to(gradient.dx + offset);
    });
#pragma unroll
    for (int i = 0; kSums && i < kMembers; ++i)
      if (i == chain.gate) {
        products[i] += products_of_gate * factor.by[0];
        sums[i] += products_of_gate * factor.by[1];
      }
  });
  if constexpr (kSums) finish(cut, place, chain, products, sums, gradient.of_parts);
}

}  // namespace

class ChannelPassGPU : public ChannelPass {
 public:
  explicit ChannelPassGPU(std::vector<ChannelwiseLayer*> layers) : ChannelPass(std::move(layers)) {
    for (ChannelwiseLayer* layer : layers_) members_.push_back(layer->gpu_member());
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const Partition cut(layout(bottom));
    const float* x = bottom[0]->gpu_data();
    if (layers_[0]->looks()) members_[0]->look_on_gpu(x);
    if (cut.blocks() == 0) return;
    std::vector<PassMember> members;
    for (GpuMember* member : members_) members.push_back(member->forward_member(bottom));
    float* y = top[0]->mutable_gpu_data();
    with_chain(members, [&](const auto& chain) { launch_forward(cut, chain, x, y); });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down, const Blob& x,
                const Blobs& bottom) override {
    const Partition cut(layout(bottom));
    if (cut.blocks() == 0) return;
    std::vector<PassMember> members;
    bool has_sums = false;
    bool reads_x = layers_.size() > 1;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      members.push_back(
          members_[i]->backward_member(i == 0 ? propagate_down : std::vector<bool>{true}, bottom));
      has_sums = has_sums || members.back().has_sums;
      reads_x = reads_x || members.back().has_sums || bends(members.back());
    }
    float* dx = propagate_down[0] ? bottom[0]->mutable_gpu_diff() : nullptr;
    const bool finishes = dx != nullptr && layers_[0]->finishes_blocks();
    const auto bytes = bytes_of_parts<Sums>(cut, static_cast<int>(members.size()));
    Gradient gradient{reads_x ? x.gpu_data() : nullptr, top[0]->gpu_diff(), dx, nullptr};
    with_chain(members, [&](auto& chain) {
      if (has_sums) {
        if (finishes) gradient.dx = nullptr;
        gradient.of_parts = static_cast<Sums*>(scratch_gpu(bytes));
        launch_backward<true>(cut, chain, gradient);
        for (GpuMember* member : members_) member->end_sums_on_gpu();
      }
      gradient.dx = dx;
      chain.finishes = finishes;
      if (dx != nullptr && (finishes || !has_sums)) launch_backward<false>(cut, chain, gradient);
    });
  }

 private:
  static bool is_formula(const PassMember& member) {
    return member.kind == PassMember::Kind::FORMULA;
  }
  /// Whether the slope hangs on x.
  static bool bends(const PassMember& member) {
    return member.kind == PassMember::Kind::RECTIFIER || is_formula(member);
  }

  /// Calls launch(chain) with these members as a chain of that many.
  template <typename Launch>
  static void with_chain(const std::vector<PassMember>& members, const Launch& launch) {
    const bool has_formula = std::any_of(members.begin(), members.end(), is_formula);
    has_formula ? with_chain<true>(members, launch) : with_chain<false>(members, launch);
  }

  template <bool kHasFormula, typename Launch>
  static void with_chain(const std::vector<PassMember>& members, const Launch& launch) {
    switch (members.size()) {
      case 1:
        return launch_chain<1, kHasFormula>(members, launch);
      case 2:
        return launch_chain<2, kHasFormula>(members, launch);
      case 3:
        return launch_chain<3, kHasFormula>(members, launch);
      case 4:
        return launch_chain<4, kHasFormula>(members, launch);
      default:
        return launch_chain<5, kHasFormula>(members, launch);
    }
  }

  template <int kMembers, bool kHasFormula, typename Launch>
  static void launch_chain(const std::vector<PassMember>& members, const Launch& launch) {
    Chain<kMembers, kHasFormula> chain;
    for (int i = 0; i < kMembers; ++i) {
      chain.members[i] = members[i];
      if (members[i].is_gate()) chain.gate = i;
    }
    launch(chain);
  }

  template <int kMembers, bool kHasFormula>
  static void launch_forward(const Partition& cut, const Chain<kMembers, kHasFormula>& chain,
                             const float* x, float* y) {
    if (cut.width == 4)
      pass_forward<kMembers, kHasFormula, 4><<<cut.blocks(), kPassThreads>>>(cut, chain, x, y);
    else
      pass_forward<kMembers, kHasFormula, 1><<<cut.blocks(), kPassThreads>>>(cut, chain, x, y);
    check_launch("pass_forward");
  }

  template <bool kSums, int kMembers, bool kHasFormula>
  static void launch_backward(const Partition& cut, const Chain<kMembers, kHasFormula>& chain,
                              const Gradient& gradient) {
    if (cut.width == 4)
      pass_backward<kMembers, kHasFormula, 4, kSums>
          <<<cut.blocks(), kPassThreads>>>(cut, chain, gradient);
    else
      pass_backward<kMembers, kHasFormula, 1, kSums>
          <<<cut.blocks(), kPassThreads>>>(cut, chain, gradient);
    check_launch("pass_backward");
  }

  std::vector<GpuMember*> members_;
};

namespace {

const bool pass_registered = register_gpu_channel_pass(
    [](std::vector<ChannelwiseLayer*> layers) -> std::unique_ptr<ChannelPass> {
      return std::make_unique<ChannelPassGPU>(std::move(layers));
    });

}  // namespace
}  // namespace vibnet
