#include "layers/rnn_layer.h"

#include <algorithm>

#include "math/gemm.h"
#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void RNNLayer::set_up(const Blobs& bottom, const Blobs& top) {
  RecurrentLayer::set_up(bottom, top);
  output_weights_ = static_cast<int>(blobs_.size());
  add_blob({units(), units()}, &parameter_.recurrent_param().weight_filler());
  add_blob({units()}, &parameter_.recurrent_param().bias_filler());
}

void RNNLayer::step(const Cell& cell) const {
  for (int d = 0; d < units(); ++d) RNNCell::step(cell, units(), d);
}

void RNNLayer::step_back(const Cell& cell, const float* dh, float* dc, float* dgate) const {
  for (int d = 0; d < units(); ++d) RNNCell::step_back(cell, units(), d, dh, dc, dgate);
}

void RNNLayer::write_output(const float* h, Blob* top) {
  float* o = top->mutable_cpu_data();
  const float* bias = blobs_[output_weights_ + 1]->cpu_data();
  for (int row = 0; row < rows(); ++row) std::copy_n(bias, units(), o + 1LL * row * units());
  gemm(Transpose::NO, Transpose::YES, rows(), units(), units(), h,
       blobs_[output_weights_]->cpu_data(), true, o);
  parallel_for(top->count(), kParallelGrain, [o](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) o[i] = std::tanh(o[i]);
  });
}

void RNNLayer::read_output_gradient(const float* h, const Blob& top, float* dh) {
  sum_diff_.reshape_like(top);
  float* dsum = sum_diff_.mutable_cpu_data();
  const float* o = top.cpu_data();
  const float* diff = top.cpu_diff();
  for (int i = 0; i < top.count(); ++i) dsum[i] = diff[i] * (1 - o[i] * o[i]);
  gemm(Transpose::NO, Transpose::NO, rows(), units(), units(), dsum,
       blobs_[output_weights_]->cpu_data(), false, dh);
  if (learns(output_weights_)) {
    const DiffSum dw = blobs_[output_weights_]->cpu_diff_sum();
    gemm(Transpose::YES, Transpose::NO, units(), units(), rows(), dsum, h, dw.adds, dw.values);
  }
  if (!learns(output_weights_ + 1)) return;
  float* dbias = blobs_[output_weights_ + 1]->mutable_cpu_diff();
  for (int i = 0; i < top.count(); ++i) dbias[i % units()] += dsum[i];
}

REGISTER_LAYER(RNN, CPU, RNNLayer);

}  // namespace vibnet
