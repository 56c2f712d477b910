#include "layers/convolution_layer.h"

#include <omp.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "math/gemm.h"
#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// Weight gradients are summed in this many chunks of the batch, whatever the number of threads, so
/// that the sum is always the same.
constexpr int kGradientChunks = 8;

int threads_for(int jobs) { return std::clamp(jobs, 1, omp_get_max_threads()); }

/// The memory of the first `count` blobs, each of so many values.
std::vector<float*> take(int count, int values, std::vector<Blob>* blobs) {
  if (static_cast<int>(blobs->size()) < count) blobs->resize(count);
  std::vector<float*> memory;
  for (int i = 0; i < count; ++i) {
    (*blobs)[i].reshape({values});
    memory.push_back((*blobs)[i].mutable_cpu_data());
  }
  return memory;
}

/// Adds the chunks to the parameter's gradient, in their order.
void add_chunks(const std::vector<float*>& chunks, Blob* parameter) {
  float* gradient = parameter->mutable_cpu_diff();
  parallel_for(parameter->count(), kParallelGrain, [&](std::int64_t begin, std::int64_t end) {
    for (const float* chunk : chunks)
      for (std::int64_t i = begin; i < end; ++i) gradient[i] += chunk[i];
  });
}

}  // namespace

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
  is_pointwise_ = std::all_of(window_.axes.begin(), window_.axes.end(), [](const WindowAxis& axis) {
    return axis.kernel == 1 && axis.stride == 1 && axis.pad == 0;
  });
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
  columns_size_ = is_pointwise_ ? 0 : column_count();
  samples_ = bottom[0]->count(0, channel_axis_);
  map_size_ = window_.values();
  places_ = window_.positions();
  output_size_ = top[0]->count(channel_axis_ + 1);
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

/// The column matrix of one group of one map; the map itself where the kernel is 1x1.
const float* ConvolutionLayer::columns_of(const float* map, float* buffer) const {
  if (is_pointwise_) return map;
  im2col(map, window_, buffer);
  return buffer;
}

/// places = weights * columns of the map + beta * places.
void ConvolutionLayer::map_to_places(const float* map, float* buffer, float beta,
                                     float* places) const {
  const int taps = window_.taps();
  const float* weights = blobs_[0]->cpu_data();
  for (int g = 0; g < groups_; ++g)
    gemm(Transpose::NO, Transpose::NO, filters_, places_, taps, 1, weights + g * filters_ * taps,
         columns_of(map + g * map_size_, buffer), beta, places + g * filters_ * places_);
}

/// The columns of the map = transposed weights * places. Overwrites the map.
void ConvolutionLayer::places_to_map(const float* places, float* buffer, float* map) const {
  const int taps = window_.taps();
  const float* weights = blobs_[0]->cpu_data();
  for (int g = 0; g < groups_; ++g) {
    gemm(Transpose::YES, Transpose::NO, taps, places_, filters_, 1, weights + g * filters_ * taps,
         places + g * filters_ * places_, 0, is_pointwise_ ? map + g * map_size_ : buffer);
    if (!is_pointwise_) col2im(buffer, window_, map + g * map_size_);
  }
}

void ConvolutionLayer::add_weight_gradient(const float* map, const float* places, float* buffer,
                                           float* dw) const {
  const int taps = window_.taps();
  for (int g = 0; g < groups_; ++g)
    gemm(Transpose::NO, Transpose::YES, filters_, taps, places_, 1, places + g * filters_ * places_,
         columns_of(map + g * map_size_, buffer), 1, dw + g * filters_ * taps);
}

void ConvolutionLayer::forward_one(const float* x, float* buffer, float* y) const {
  const float* bias = has_bias() ? blobs_[1]->cpu_data() : nullptr;
  if (!is_transposed()) {
    for (int output = 0; bias != nullptr && output < outputs_; ++output)
      std::fill_n(y + output * output_size_, output_size_, bias[output]);
    return map_to_places(x, buffer, bias != nullptr ? 1 : 0, y);
  }
  places_to_map(x, buffer, y);
  for (int output = 0; bias != nullptr && output < outputs_; ++output)
    for (int i = 0; i < output_size_; ++i) y[output * output_size_ + i] += bias[output];
}

void ConvolutionLayer::forward(const Blobs& bottom, const Blobs& top) {
  const int threads = threads_for(samples_);
  const std::vector<float*> columns = take(threads, columns_size_, &columns_);
  blobs_[0]->cpu_data();  // brought to the host before the threads ask for it
  if (has_bias()) blobs_[1]->cpu_data();
  for (std::size_t b = 0; b < bottom.size(); ++b) {
    const float* x = bottom[b]->cpu_data();
    float* y = top[b]->mutable_cpu_data();
    const int x_step = bottom[b]->count(channel_axis_);
    const int y_step = top[b]->count(channel_axis_);
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int n = 0; n < samples_; ++n)
      forward_one(x + n * x_step, columns[omp_get_thread_num()], y + n * y_step);
  }
}

void ConvolutionLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                const Blobs& bottom) {
  const bool learns_weights = learns(0);
  const bool learns_biases = has_bias() && learns(1);
  const int weights = blobs_[0]->count();
  const int chunks = std::clamp(samples_, 1, kGradientChunks);
  const int threads = threads_for(chunks);
  const std::vector<float*> columns = take(threads, columns_size_, &columns_);
  const auto weight_chunks = take(learns_weights ? chunks : 0, weights, &weight_chunks_);
  const auto bias_chunks = take(learns_biases ? chunks : 0, outputs_, &bias_chunks_);
  blobs_[0]->cpu_data();
  for (std::size_t b = 0; b < bottom.size(); ++b) {
    const float* x = bottom[b]->cpu_data();
    const float* dy = top[b]->cpu_diff();
    float* dx = propagate_down[b] ? bottom[b]->mutable_cpu_diff() : nullptr;
    const int x_step = bottom[b]->count(channel_axis_);
    const int y_step = top[b]->count(channel_axis_);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int chunk = 0; chunk < chunks; ++chunk) {
      float* buffer = columns[omp_get_thread_num()];
      if (learns_weights) std::fill_n(weight_chunks[chunk], weights, 0.0f);
      if (learns_biases) std::fill_n(bias_chunks[chunk], outputs_, 0.0f);
      const auto end = static_cast<int>((chunk + 1LL) * samples_ / chunks);
      for (auto n = static_cast<int>(1LL * chunk * samples_ / chunks); n < end; ++n) {
        const float* x_n = x + n * x_step;
        const float* dy_n = dy + n * y_step;
        if (learns_weights)
          add_weight_gradient(is_transposed() ? dy_n : x_n, is_transposed() ? x_n : dy_n, buffer,
                              weight_chunks[chunk]);
        for (int output = 0; learns_biases && output < outputs_; ++output)
          for (int i = 0; i < output_size_; ++i)
            bias_chunks[chunk][output] += dy_n[output * output_size_ + i];
        if (dx == nullptr) continue;
        if (is_transposed())
          map_to_places(dy_n, buffer, 0, dx + n * x_step);
        else
          places_to_map(dy_n, buffer, dx + n * x_step);
      }
    }
    if (learns_weights) add_chunks(weight_chunks, blobs_[0].get());
    if (learns_biases) add_chunks(bias_chunks, blobs_[1].get());
  }
}

REGISTER_LAYER(Convolution, CPU, ConvolutionLayer);

}  // namespace vibnet
