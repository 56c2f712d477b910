#include <omp.h>

#include <algorithm>

#include "math/gemm.h"
#include "math/im2col.h"
#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// Weight gradients are summed in this many chunks of the batch, whatever the number of threads, so
/// that the sum is always the same.
constexpr int kGradientChunks = 8;

using Sizes = google::protobuf::RepeatedField<google::protobuf::uint32>;

/// One of Caffe's pairs: the _h/_w fields, or a repeated field of one or two values.
std::uint32_t one_of(bool has_own, std::uint32_t own, const Sizes& both, int axis,
                     std::uint32_t missing) {
  if (has_own) return own;
  if (both.empty()) return missing;
  return both.Get(std::min(axis, both.size() - 1));
}

}  // namespace

/// Cross-correlation with num_output filters over 2-D maps (Caffe's Convolution).
///
/// Bottoms: N x C x H x W each; tops: N x num_output x H' x W'. Parameters: filters, num_output x
/// C/group x kernel_h x kernel_w, and biases, unless bias_term is false.
class ConvolutionLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {1, BlobCount::kAny}; }
  BlobCount top_count() const override { return {1, BlobCount::kAny}; }

  void set_up(const Blobs& bottom, const Blobs& top) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;
  double flops() const override { return 2.0 * samples_ * outputs_ * window_.taps() * spatial_; }

 private:
  bool has_bias() const { return parameter_.convolution_param().bias_term(); }
  int outputs_of_group() const { return outputs_ / groups_; }
  const float* columns_of(const float* x, float* buffer) const;
  void forward_one(const float* x, float* buffer, float* y) const;
  void add_weight_gradient(const float* x, const float* dy, float* buffer, float* dw) const;
  void backward_to_bottom(const float* dy, float* buffer, float* dx) const;
  void add_chunks(const Blob& chunks, Blob* parameter) const;

  /// The window over one group's channels.
  Window window_;
  int samples_ = 0;
  int outputs_ = 0;
  int groups_ = 1;
  int spatial_ = 0;
  bool is_pointwise_ = false;
  Blob columns_;
  Blob weight_chunks_;
  Blob bias_chunks_;
};

void ConvolutionLayer::set_up(const Blobs& bottom, const Blobs& top) {
  const ConvolutionParameter& p = parameter_.convolution_param();
  if (bottom.size() != top.size()) fail("needs as many tops as bottoms");
  if (p.num_output() == 0) fail("num_output is missing or 0");
  if (bottom[0]->axes() != 4 || bottom[0]->canonical_axis(p.axis()) != 1)
    fail("works on N x C x H x W, axis 1; the bottom is ", to_string(bottom[0]->shape()));
  if (p.kernel_size_size() > 2 || p.stride_size() > 2 || p.pad_size() > 2 || p.dilation_size() > 2)
    fail("kernel_size, stride, pad and dilation take one or two values");
  outputs_ = size_of("num_output", p.num_output());
  groups_ = size_of("group", p.group());
  const int channels = bottom[0]->shape(1);
  if (groups_ < 1 || channels % groups_ != 0 || outputs_ % groups_ != 0)
    fail("group: ", groups_, " must divide the ", channels, " channels and the ", outputs_,
         " outputs");
  window_.channels = channels / groups_;
  window_.kernel_h =
      size_of("kernel_size", one_of(p.has_kernel_h(), p.kernel_h(), p.kernel_size(), 0, 0));
  window_.kernel_w =
      size_of("kernel_size", one_of(p.has_kernel_w(), p.kernel_w(), p.kernel_size(), 1, 0));
  window_.stride_h = size_of("stride", one_of(p.has_stride_h(), p.stride_h(), p.stride(), 0, 1));
  window_.stride_w = size_of("stride", one_of(p.has_stride_w(), p.stride_w(), p.stride(), 1, 1));
  window_.pad_h = size_of("pad", one_of(p.has_pad_h(), p.pad_h(), p.pad(), 0, 0));
  window_.pad_w = size_of("pad", one_of(p.has_pad_w(), p.pad_w(), p.pad(), 1, 0));
  window_.dilation_h = size_of("dilation", one_of(false, 0, p.dilation(), 0, 1));
  window_.dilation_w = size_of("dilation", one_of(false, 0, p.dilation(), 1, 1));
  if (window_.kernel_h < 1 || window_.kernel_w < 1) fail("kernel_size is missing or 0");
  if (window_.stride_h < 1 || window_.stride_w < 1) fail("stride cannot be 0");
  if (window_.dilation_h < 1 || window_.dilation_w < 1) fail("dilation cannot be 0");
  add_blob({outputs_, window_.channels, window_.kernel_h, window_.kernel_w}, &p.weight_filler());
  if (has_bias()) add_blob({outputs_}, &p.bias_filler());
}

void ConvolutionLayer::reshape(const Blobs& bottom, const Blobs& top) {
  for (const Blob* blob : bottom)
    if (blob->shape() != bottom[0]->shape()) fail("needs all bottoms of one shape");
  if (bottom[0]->axes() != 4 || bottom[0]->shape(1) != window_.channels * groups_)
    fail("was made for ", window_.channels * groups_, " channels, and the bottom is ",
         to_string(bottom[0]->shape()));
  samples_ = bottom[0]->shape(0);
  window_.height = bottom[0]->shape(2);
  window_.width = bottom[0]->shape(3);
  if (!window_.fits())
    fail("the kernel, ", window_.kernel_h, "x", window_.kernel_w, ", is larger than the padded ",
         "bottom, ", to_string(bottom[0]->shape()));
  spatial_ = window_.out_height() * window_.out_width();
  is_pointwise_ = window_.kernel_h == 1 && window_.kernel_w == 1 && window_.stride_h == 1 &&
                  window_.stride_w == 1 && window_.pad_h == 0 && window_.pad_w == 0;
  for (Blob* blob : top)
    blob->reshape({samples_, outputs_, window_.out_height(), window_.out_width()});
}

/// The column matrix of one group of one image; the image itself where the kernel is 1x1.
const float* ConvolutionLayer::columns_of(const float* x, float* buffer) const {
  if (is_pointwise_) return x;
  im2col(x, window_, buffer);
  return buffer;
}

void ConvolutionLayer::forward_one(const float* x, float* buffer, float* y) const {
  const int m = outputs_of_group();
  const int k = window_.taps();
  const float* weights = blobs_[0]->cpu_data();
  if (has_bias())
    for (int output = 0; output < outputs_; ++output)
      std::fill_n(y + output * spatial_, spatial_, blobs_[1]->cpu_data()[output]);
  for (int g = 0; g < groups_; ++g) {
    const float* columns =
        columns_of(x + g * window_.channels * window_.height * window_.width, buffer);
    gemm(Transpose::NO, Transpose::NO, m, spatial_, k, 1, weights + g * m * k, columns,
         has_bias() ? 1 : 0, y + g * m * spatial_);
  }
}

void ConvolutionLayer::forward(const Blobs& bottom, const Blobs& top) {
  const int column_count = window_.taps() * spatial_;
  columns_.reshape({omp_get_max_threads(), column_count});
  float* columns = columns_.mutable_cpu_data();
  blobs_[0]->cpu_data();  // brought to the host before the threads ask for it
  if (has_bias()) blobs_[1]->cpu_data();
  for (std::size_t b = 0; b < bottom.size(); ++b) {
    const float* x = bottom[b]->cpu_data();
    float* y = top[b]->mutable_cpu_data();
    const int x_step = bottom[b]->count(1);
    const int y_step = top[b]->count(1);
#pragma omp parallel for schedule(static) if (samples_ > 1)
    for (int n = 0; n < samples_; ++n)
      forward_one(x + n * x_step, columns + omp_get_thread_num() * column_count, y + n * y_step);
  }
}

void ConvolutionLayer::add_weight_gradient(const float* x, const float* dy, float* buffer,
                                           float* dw) const {
  const int m = outputs_of_group();
  const int k = window_.taps();
  for (int g = 0; g < groups_; ++g) {
    const float* columns =
        columns_of(x + g * window_.channels * window_.height * window_.width, buffer);
    gemm(Transpose::NO, Transpose::YES, m, k, spatial_, 1, dy + g * m * spatial_, columns, 1,
         dw + g * m * k);
  }
}

void ConvolutionLayer::backward_to_bottom(const float* dy, float* buffer, float* dx) const {
  const int m = outputs_of_group();
  const int k = window_.taps();
  const float* weights = blobs_[0]->cpu_data();
  for (int g = 0; g < groups_; ++g) {
    float* plane = dx + g * window_.channels * window_.height * window_.width;
    gemm(Transpose::YES, Transpose::NO, k, spatial_, m, 1, weights + g * m * k,
         dy + g * m * spatial_, 0, is_pointwise_ ? plane : buffer);
    if (!is_pointwise_) col2im(buffer, window_, plane);
  }
}

void ConvolutionLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                const Blobs& bottom) {
  const bool learns_weights = learns(0);
  const bool learns_biases = has_bias() && learns(1);
  const int column_count = window_.taps() * spatial_;
  const int weights = blobs_[0]->count();
  columns_.reshape({omp_get_max_threads(), column_count});
  weight_chunks_.reshape({kGradientChunks, learns_weights ? weights : 0});
  bias_chunks_.reshape({kGradientChunks, learns_biases ? outputs_ : 0});
  float* columns = columns_.mutable_cpu_data();
  blobs_[0]->cpu_data();
  for (std::size_t b = 0; b < bottom.size(); ++b) {
    const float* x = bottom[b]->cpu_data();
    const float* dy = top[b]->cpu_diff();
    float* dx = propagate_down[b] ? bottom[b]->mutable_cpu_diff() : nullptr;
    const int x_step = bottom[b]->count(1);
    const int y_step = top[b]->count(1);
    weight_chunks_.set_data(0);
    bias_chunks_.set_data(0);
    float* weight_chunks = weight_chunks_.mutable_cpu_data();
    float* bias_chunks = bias_chunks_.mutable_cpu_data();
#pragma omp parallel for schedule(dynamic)
    for (int chunk = 0; chunk < kGradientChunks; ++chunk) {
      float* buffer = columns + omp_get_thread_num() * column_count;
      const int end = (chunk + 1) * samples_ / kGradientChunks;
      for (int n = chunk * samples_ / kGradientChunks; n < end; ++n) {
        const float* dy_n = dy + n * y_step;
        if (learns_weights)
          add_weight_gradient(x + n * x_step, dy_n, buffer, weight_chunks + chunk * weights);
        for (int output = 0; learns_biases && output < outputs_; ++output)
          for (int s = 0; s < spatial_; ++s)
            bias_chunks[chunk * outputs_ + output] += dy_n[output * spatial_ + s];
        if (dx != nullptr) backward_to_bottom(dy_n, buffer, dx + n * x_step);
      }
    }
    if (learns_weights) add_chunks(weight_chunks_, blobs_[0].get());
    if (learns_biases) add_chunks(bias_chunks_, blobs_[1].get());
  }
}

void ConvolutionLayer::add_chunks(const Blob& chunks, Blob* parameter) const {
  const float* parts = chunks.cpu_data();
  float* gradient = parameter->mutable_cpu_diff();
  const int count = parameter->count();
  parallel_for(count, kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
    for (int chunk = 0; chunk < kGradientChunks; ++chunk)
      for (std::int64_t i = begin; i < end; ++i) gradient[i] += parts[chunk * count + i];
  });
}

REGISTER_LAYER(Convolution, CPU, ConvolutionLayer);

}  // namespace vibnet
