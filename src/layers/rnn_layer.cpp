#include <algorithm>
#include <cmath>

#include "layers/recurrent_layer.h"
#include "math/gemm.h"
#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

/// The plain recurrent net (Caffe's RNN): h = tanh(the one gate's input), and the output is
/// o = tanh(W_ho h + b_o). Bottoms, tops and parameters are RecurrentLayer's, the state h; after
/// them stand W_ho, D x D, and b_o, D.
class RNNLayer : public RecurrentLayer {
 public:
  using RecurrentLayer::RecurrentLayer;

  void set_up(const Blobs& bottom, const Blobs& top) override {
    RecurrentLayer::set_up(bottom, top);
    output_weights_ = static_cast<int>(blobs_.size());
    add_blob({units(), units()}, &parameter_.recurrent_param().weight_filler());
    add_blob({units()}, &parameter_.recurrent_param().bias_filler());
  }

  double flops() const override {
    return RecurrentLayer::flops() + 2.0 * rows() * units() * units();
  }

 protected:
  int gates() const override { return 1; }
  int states() const override { return 1; }

  void step(const Cell& cell) const override {
    for (int d = 0; d < units(); ++d) cell.h[d] = std::tanh(cell.gate[d]);
  }

  void step_back(const Cell& cell, const float* dh, float* /*dc*/, float* dgate) const override {
    for (int d = 0; d < units(); ++d) dgate[d] = dh[d] * (1 - cell.h[d] * cell.h[d]);
  }

  void write_output(const float* h, Blob* top) override {
    float* o = top->mutable_cpu_data();
    const float* bias = blobs_[output_weights_ + 1]->cpu_data();
    for (int row = 0; row < rows(); ++row) std::copy_n(bias, units(), o + 1LL * row * units());
    gemm(Transpose::NO, Transpose::YES, rows(), units(), units(), h,
         blobs_[output_weights_]->cpu_data(), true, o);
    parallel_for(top->count(), kParallelGrain, [o](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) o[i] = std::tanh(o[i]);
    });
  }

  void read_output_gradient(const float* h, const Blob& top, float* dh) override {
    sum_diff_.reshape_like(top);
    float* dsum = sum_diff_.mutable_cpu_data();
    const float* o = top.cpu_data();
    const float* diff = top.cpu_diff();
    for (int i = 0; i < top.count(); ++i) dsum[i] = diff[i] * (1 - o[i] * o[i]);
    gemm(Transpose::NO, Transpose::NO, rows(), units(), units(), dsum,
         blobs_[output_weights_]->cpu_data(), false, dh);
    if (learns(output_weights_))
      gemm(Transpose::YES, Transpose::NO, units(), units(), rows(), dsum, h, true,
           blobs_[output_weights_]->mutable_cpu_diff());
    if (!learns(output_weights_ + 1)) return;
    float* dbias = blobs_[output_weights_ + 1]->mutable_cpu_diff();
    for (int i = 0; i < top.count(); ++i) dbias[i % units()] += dsum[i];
  }

 private:
  /// The place of W_ho in blobs().
  int output_weights_ = 0;
  /// The gradient of W_ho h + b_o.
  Blob sum_diff_;
};

REGISTER_LAYER(RNN, CPU, RNNLayer);

}  // namespace vibnet
