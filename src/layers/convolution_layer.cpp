#include "layers/convolution_layer.h"

#include <algorithm>
#include <limits>

#include "math/parallel.h"
#include "simd/kernels.h"
#include "vibnet/registry.h"

namespace vibnet {

int ConvolutionLayer::groups(int /*channels*/) const {
  return size_of("group", parameter_.convolution_param().group());
}

void ConvolutionLayer::set_up(const Blobs& bottom, const Blobs& top) {
  const ConvolutionParameter& p = parameter_.convolution_param();
  if (bottom.size() != top.size()) fail("needs as many tops as bottoms");
  if (p.num_output() == 0) fail("num_output is missing or 0");
  read_window(*bottom[0]);
  channels_ = bottom[0]->shape(channel_axis_);
  outputs_ = size_of("num_output", p.num_output());
  groups_ = groups(channels_);
  if (groups_ < 1 || channels_ % groups_ != 0 || outputs_ % groups_ != 0)
    fail("group: ", groups_, " must divide the ", channels_, " channels and the ", outputs_,
         " outputs");
  filters_ = (is_transposed() ? channels_ : outputs_) / groups_;
  window_.channels = (is_transposed() ? outputs_ : channels_) / groups_;
  Shape weights{filters_ * groups_, window_.channels};
  for (int axis = 0; axis < spatial_axes_; ++axis)
    weights.push_back(window_.axes[first_axis() + axis].kernel);
  add_blob(weights, &p.weight_filler());
  if (has_bias()) add_blob({outputs_}, &p.bias_filler());
}

/// The shape of what the windows move over: the bottom's, or, turned round, the one whose places
/// the bottom's values are.
Shape ConvolutionLayer::map_shape(const Shape& bottom) const {
  if (!is_transposed()) return bottom;
  Shape map = bottom;
  map[channel_axis_] = outputs_;
  for (int axis = 0; axis < spatial_axes_; ++axis) {
    const WindowAxis& along = window_.axes[first_axis() + axis];
    const std::int64_t places = bottom[channel_axis_ + 1 + axis];
    const std::int64_t size = along.stride * (places - 1) + along.reach() - 2LL * along.pad;
    if (size < 1 || size > std::numeric_limits<int>::max())
      fail("the top would have ", size, " values along axis ", channel_axis_ + 1 + axis);
    map[channel_axis_ + 1 + axis] = static_cast<int>(size);
  }
  return map;
}

void ConvolutionLayer::reshape(const Blobs& bottom, const Blobs& top) {
  for (const Blob* blob : bottom)
    if (blob->shape() != bottom[0]->shape()) fail("needs all bottoms of one shape");
  const Shape& shape = bottom[0]->shape();
  if (bottom[0]->axes() != channel_axis_ + 1 + spatial_axes_ || shape[channel_axis_] != channels_)
    fail("was made for ", channels_, " channels at axis ", channel_axis_, " of ",
         channel_axis_ + 1 + spatial_axes_, ", and the bottom is ", to_string(shape));
  const Shape map = map_shape(shape);
  set_sizes(map);
  for (Blob* blob : top) blob->reshape(is_transposed() ? map : shape_of_places(shape, outputs_));
  if (residual_ != nullptr && residual_->shape() != top[0]->shape())
    fail("writes ", to_string(top[0]->shape()), ", to which ", to_string(residual_->shape()),
         " cannot be added");
  samples_ = bottom[0]->count(0, channel_axis_);
  output_size_ = top[0]->count(channel_axis_ + 1);
  if (kernel_ != nullptr && made_for_ == shape) return;
  kernel_ = make_kernel(convolution());
  if (channels_last_) channels_last_ = ChannelsLastConvolution(convolution(), channels_last());
  made_for_ = shape;
  prepared_.forget();
}

void ConvolutionLayer::use_channels_last(bool bottom, bool top) {
  const ChannelsLast before = channels_last();
  channels_last_ =
      ChannelsLastConvolution(convolution(), {before.maps || bottom, before.results || top});
  prepared_.forget();
}

ChannelRule ConvolutionLayer::channel_rule(const Blobs& bottom, const Blobs& /*top*/) const {
  if (bottom.size() > 1 || channel_axis_ != 1) return ChannelRule::wall();
  const bool stays_inside = std::all_of(
      window_.axes.begin(), window_.axes.end(),
      [](const WindowAxis& axis) { return axis.pad == 0 && axis.size >= axis.reach(); });
  ChannelRule rule;
  rule.role = ChannelRule::Role::MIX;
  rule.constants = stays_inside && !is_transposed() ? ChannelRule::Constants::SAME
                                                    : ChannelRule::Constants::ZERO;
  rule.groups = groups_;
  if (is_transposed()) rule.weights = ChannelRule::Weights::INPUT_OUTPUT_KERNEL;
  rule.kernel = blobs_[0]->count(2);
  rule.has_shift = has_bias();
  return rule;
}

void ConvolutionLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* weights = blobs_[0]->cpu_data();
  const Epilogue epilogue{has_bias() ? blobs_[1]->cpu_data() : nullptr,
                          residual_ != nullptr ? residual_->cpu_data() : nullptr, rectifies_};
  for (std::size_t b = 0; b < bottom.size(); ++b) {
    const float* x = bottom[b]->cpu_data();
    float* y = top[b]->mutable_cpu_data();
    if (is_transposed()) {
      kernel_->backward_data(x, weights, y);
      if (has_bias()) add_bias(epilogue.bias, y);
    } else if (channels_last_) {
      channels_last_->forward(x, prepared_weights(), epilogue, y);
    } else if (weights_change()) {
      kernel_->forward(x, weights, epilogue, y);
    } else {
      kernel_->forward_prepared(x, prepared_weights(), epilogue, y);
    }
  }
}

void ConvolutionLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                const Blobs& bottom) {
  const float* weights = blobs_[0]->cpu_data();
  for (std::size_t b = 0; b < bottom.size(); ++b) {
    const float* x = bottom[b]->cpu_data();
    const float* dy = top[b]->cpu_diff();
    if (learns(0)) {
      const DiffSum dw = blobs_[0]->cpu_diff_sum();
      kernel_->backward_weights(is_transposed() ? dy : x, is_transposed() ? x : dy, dw.adds,
                                dw.values);
    }
    if (has_bias() && learns(1)) add_bias_gradient(dy);
    if (!propagate_down[b]) continue;
    float* dx = bottom[b]->mutable_cpu_diff();
    if (is_transposed())
      kernel_->forward(dy, weights, {}, dx);
    else
      kernel_->backward_data(dy, weights, dx);
  }
}

const float* ConvolutionLayer::prepared_weights() {
  const std::size_t size =
      channels_last_ ? channels_last_->prepared_size() : kernel_->prepared_size();
  if (size == 0) return blobs_[0]->cpu_data();
  return prepared_.of(*blobs_[0], size, [this](const float* weights, float* prepared) {
    channels_last_ ? channels_last_->prepare(weights, prepared)
                   : kernel_->prepare(weights, prepared);
  });
}

void ConvolutionLayer::add_bias(const float* bias, float* y) const {
  parallel_for(std::int64_t{samples_} * outputs_, grain_of(output_size_),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row)
                   for (int i = 0; i < output_size_; ++i)
                     y[row * output_size_ + i] += bias[row % outputs_];
               });
}

void ConvolutionLayer::add_bias_gradient(const float* dy) {
  // Each thread sums samples of its own, as the layer that made dy did.
  std::vector<float> sums(static_cast<std::size_t>(samples_) * outputs_);
  parallel_for(std::int64_t{samples_} * outputs_, grain_of(output_size_),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row)
                   sums[row] = kernels().blocks.sum(dy + row * output_size_, output_size_);
               });
  float* gradient = blobs_[1]->mutable_cpu_diff();
  for (int output = 0; output < outputs_; ++output) {
    double total = 0;
    for (int n = 0; n < samples_; ++n) total += sums[std::size_t{1} * n * outputs_ + output];
    gradient[output] += static_cast<float>(total);
  }
}

REGISTER_LAYER(Convolution, CPU, ConvolutionLayer);

}  // namespace vibnet
