#include "layers/prelu_layer.h"

#include "simd/kernels.h"
#include "vibnet/registry.h"

namespace vibnet {

void PReLULayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  check_axes(*bottom[0]);
  const PReLUParameter& parameter = parameter_.prelu_param();
  FillerParameter quarter;
  quarter.set_value(0.25f);
  add_blob(is_shared() ? Shape{} : Shape{bottom[0]->shape(1)},
           parameter.has_filler() ? &parameter.filler() : &quarter);
}

void PReLULayer::reshape(const Blobs& bottom, const Blobs& top) {
  check_axes(*bottom[0]);
  ChannelwiseLayer::reshape(bottom, top);
  if (!is_shared() && blobs_[0]->count() != layout().channels)
    fail("was made for ", blobs_[0]->count(), " channels, and the bottom has ", layout().channels);
}

ChannelRule PReLULayer::channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const {
  ChannelRule rule = ChannelRule::pointwise(ChannelRule::Homogeneous::FOR_POSITIVE);
  rule.channel_blobs = is_shared() ? 0 : 1;
  return rule;
}

void PReLULayer::begin_forward(const Blobs& /*bottom*/) { slopes_ = blobs_[0]->cpu_data(); }

void PReLULayer::forward_block(const ChannelBlock& block, const float* x, float* y) {
  kernels().blocks.scale_by_sign(x, slope(block.channel), x, y, block.count());
}

void PReLULayer::backward_block(const ChannelBlock& block, const float* x, const float* /*y*/,
                                const float* dy, float* dx) {
  float products = 0;
#pragma omp simd reduction(+ : products)
  for (int i = 0; i < block.count(); ++i) products += dy[i] * (x[i] > 0 ? 0 : x[i]);
  sums_.add(block, products);
  kernels().blocks.scale_by_sign(x, slope(block.channel), dy, dx, block.count());
}

void PReLULayer::end_backward(const std::vector<bool>& /*propagate_down*/,
                              const Blobs& /*bottom*/) {
  sums_.end();
  if (!learns(0)) return;
  float* gradient = blobs_[0]->mutable_cpu_diff();
  if (!is_shared()) return sums_.add_to(gradient);
  for (int c = 0; c < layout().channels; ++c) *gradient += static_cast<float>(sums_[c]);
}

void PReLULayer::check_axes(const Blob& x) const {
  if (x.axes() < 2) fail("needs a bottom of at least 2 axes, not ", to_string(x.shape()));
}

REGISTER_LAYER(PReLU, CPU, PReLULayer);

}  // namespace vibnet
