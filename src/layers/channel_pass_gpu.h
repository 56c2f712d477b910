#pragma once

// For .cu files only.

#include <cmath>
#include <variant>
#include <vector>

#include "layers/absval_layer.h"
#include "layers/bnll_layer.h"
#include "layers/channel_pass.h"
#include "layers/clip_layer.h"
#include "layers/elu_layer.h"
#include "layers/exp_layer.h"
#include "layers/gate_rules_gpu.h"
#include "layers/hard_swish_layer.h"
#include "layers/log_layer.h"
#include "layers/power_layer.h"
#include "layers/sigmoid_layer.h"
#include "layers/swish_layer.h"
#include "layers/tanh_layer.h"
#include "math/loops_gpu.h"

namespace vibnet {

/// y = (x - center) factor + shift; of a rectifier, the factor is that of negative values.
struct Coefficients {
  float center = 0;
  float factor = 1;
  float shift = 0;
};

// What a member of a pass does to a channel: at(channel) says its coefficients, and finish(channel,
// sums) makes gradients of the sums over the channel of dL/dy (x - center), and of dL/dy. Pointers
// are to a value for each channel, null where nothing is there, or where no gradient is wanted.

/// Scale and Bias.
struct LinearMember {
  const float* factors = nullptr;
  const float* shifts = nullptr;
  float* d_factors = nullptr;
  float* d_shifts = nullptr;
  /// Of a bottom, whose gradient is written, where a parameter's is added to.
  bool sets_factors = false;
  bool sets_shifts = false;

  __device__ Coefficients at(int c) const {
    return {0, factors == nullptr ? 1 : factors[c], shifts == nullptr ? 0 : shifts[c]};
  }
  __device__ void finish(int c, const Sums& sums) const {
    if (d_factors != nullptr)
      d_factors[c] = (sets_factors ? 0 : d_factors[c]) + static_cast<float>(sums.first);
    if (d_shifts != nullptr)
      d_shifts[c] = (sets_shifts ? 0 : d_shifts[c]) + static_cast<float>(sums.second);
  }
};

/// BatchNorm by its running sums: of means and variances, each divided by *count.
struct RunningStatsMember {
  const float* means;
  const float* variances;
  const float* count;
  float eps;

  __device__ Coefficients at(int c) const {
    const float scale = *count == 0 ? 0 : 1 / *count;
    return {scale * means[c], 1 / sqrtf(scale * variances[c] + eps), 0};
  }
};

/// BatchNorm by the batch, whose moments have been found.
struct BatchStatsMember {
  const float* means;
  const float* inverse_deviations;
  /// Values of a channel, over all ranks.
  int count;
  double* products;
  double* sums;

  __device__ Coefficients at(int c) const { return {means[c], inverse_deviations[c], 0}; }
  __device__ void finish(int c, const Sums& of_channel) const {
    products[c] = of_channel.first;
    sums[c] = of_channel.second;
  }
};

/// ReLU, ReLU6 and PReLU.
struct RectifierMember {
  float slope = 0;
  float ceiling = HUGE_VALF;
  /// In place of the one slope; the first of them, and each channel's sum, where all share it.
  const float* slopes = nullptr;
  bool shares_slope = false;
  float* d_slopes = nullptr;

  __device__ Coefficients at(int c) const {
    return {0, slopes == nullptr ? slope : slopes[shares_slope ? 0 : c], 0};
  }
  __device__ void finish(int c, const Sums& sums) const {
    d_slopes[c] = (shares_slope ? 0 : d_slopes[c]) + static_cast<float>(sums.first);
  }
};

/// An ElementwiseLayer.
struct FormulaMember {
  std::variant<AbsValFormula, BNLLFormula, ClipFormula, ELUFormula, ExpFormula, HardSwishFormula,
               LogFormula, PowerFormula, SigmoidFormula, SwishFormula, TanHFormula>
      formula;

  __device__ float value(float x) const {
    return with(formula, [=](const auto& own) { return own.value(x); });
  }
  __device__ float slope(float x) const {
    return with(formula, [=](const auto& own) { return own.slope(x, own.value(x)); });
  }

 private:
  /// As std::visit, which calls by a table that is the host's.
  template <typename... Formulas, typename Body>
  __device__ static float with(const std::variant<Formulas...>& formula, const Body& body) {
    float result = 0;
    ((std::holds_alternative<Formulas>(formula)
          ? void(result = body(*std::get_if<Formulas>(&formula)))
          : void()),
     ...);
    return result;
  }
};

/// A gate, whose factor hangs on the sample too: at() does not tell it.
template <typename Rule>
struct GateMember {
  GateFactors<Rule> factors;
  /// Of kl()'s gradient, times kl_weight.
  double kl_scale;
  float* gradients[2];
  /// Per unit: what it adds to kl().
  double* kls;

  __device__ void finish(int c, const Sums& sums) const {
    if (factors.is_frozen(c)) return;
    const GateKL kl = factors.kl(c);
    const double kl_weight = kl_scale * factors.step.get().kl_weight;
    if (gradients[0] != nullptr)
      gradients[0][c] += static_cast<float>(sums.first + kl_weight * kl.by[0]);
    if (gradients[1] != nullptr)
      gradients[1][c] += static_cast<float>(sums.second + kl_weight * kl.by[1]);
  }
};

/// One of a pass's layers, as its kernels take it.
struct PassMember {
  enum class Kind {
    LINEAR,
    RUNNING_STATS,
    BATCH_STATS,
    RECTIFIER,
    FORMULA,
    BOTTLENECK,
    HARD_CONCRETE
  };

  Kind kind;
  /// Whether backward shall call finish().
  bool has_sums = false;
  union {
    LinearMember linear;
    RunningStatsMember running_stats;
    BatchStatsMember batch_stats;
    RectifierMember rectifier;
    FormulaMember formula;
    GateMember<BottleneckRule> bottleneck;
    GateMember<HardConcreteRule> hard_concrete;
  };

  PassMember() : PassMember(LinearMember{}) {}
  PassMember(const LinearMember& m) : kind(Kind::LINEAR), linear(m) {}
  PassMember(const RunningStatsMember& m) : kind(Kind::RUNNING_STATS), running_stats(m) {}
  PassMember(const BatchStatsMember& m) : kind(Kind::BATCH_STATS), batch_stats(m) {}
  PassMember(const RectifierMember& m) : kind(Kind::RECTIFIER), rectifier(m) {}
  PassMember(const FormulaMember& m) : kind(Kind::FORMULA), formula(m) {}
  PassMember(const GateMember<BottleneckRule>& m) : kind(Kind::BOTTLENECK), bottleneck(m) {}
  PassMember(const GateMember<HardConcreteRule>& m) : kind(Kind::HARD_CONCRETE), hard_concrete(m) {}

  VIBNET_HOST_DEVICE bool is_gate() const {
    return kind == Kind::BOTTLENECK || kind == Kind::HARD_CONCRETE;
  }

  __device__ Coefficients at(int c) const {
    switch (kind) {
      case Kind::LINEAR:
        return linear.at(c);
      case Kind::RUNNING_STATS:
        return running_stats.at(c);
      case Kind::BATCH_STATS:
        return batch_stats.at(c);
      case Kind::RECTIFIER:
        return rectifier.at(c);
      default:
        return {};
    }
  }
  __device__ void finish(int c, const Sums& sums) const {
    switch (kind) {
      case Kind::LINEAR:
        return linear.finish(c, sums);
      case Kind::BATCH_STATS:
        return batch_stats.finish(c, sums);
      case Kind::RECTIFIER:
        return rectifier.finish(c, sums);
      case Kind::BOTTLENECK:
        return bottleneck.finish(c, sums);
      case Kind::HARD_CONCRETE:
        return hard_concrete.finish(c, sums);
      default:
        return;
    }
  }
  __device__ GateFactor draw(int sample, int c) const {
    return kind == Kind::BOTTLENECK ? bottleneck.factors.of(sample, c)
                                    : hard_concrete.factors.of(sample, c);
  }
  __device__ void keep_kl(int c) const {
    if (kind == Kind::BOTTLENECK)
      bottleneck.kls[c] = bottleneck.factors.kl(c).value;
    else
      hard_concrete.kls[c] = hard_concrete.factors.kl(c).value;
  }
};

/// What a layer is in a pass on the GPU.
class GpuMember {
 public:
  virtual ~GpuMember() = default;

  /// Before forward, where ChannelwiseLayer::looks().
  virtual void look_on_gpu(const float* /*x*/) {}
  virtual PassMember forward_member(const Blobs& bottom) = 0;
  virtual PassMember backward_member(const std::vector<bool>& propagate_down,
                                     const Blobs& bottom) = 0;
  /// Once finish() has been called for each channel, by work of this thread's stream.
  virtual void end_sums_on_gpu() {}
};

/// A channelwise layer on the GPU: a pass of its own where a net takes it into no other.
template <typename Base>
class ChannelwiseOnGPU : public Base, public GpuMember {
 public:
  using Base::Base;

  GpuMember* gpu_member() override { return this; }

  void forward(const Blobs& bottom, const Blobs& top) override {
    this->keep_x(bottom, top);
    make_channel_pass({DeviceType::GPU, 0}, {this})->forward(bottom, top);
  }
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    make_channel_pass({DeviceType::GPU, 0}, {this})
        ->backward(top, propagate_down, this->kept_x(bottom, top), bottom);
  }
};

}  // namespace vibnet
