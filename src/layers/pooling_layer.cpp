#include <algorithm>
#include <cstdint>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// The largest or the mean value of each window of each plane (Caffe's Pooling).
///
/// Bottom: N x C x H x W; top: N x C x H' x W', and, if named, for MAX the index in the plane of
/// each window's largest value. Sizes round up unless round_mode is FLOOR, and a window that
/// would start behind the plane is left out; AVE divides by the window's size within the padded
/// plane, as Caffe does.
class PoolingLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount top_count() const override { return {1, is_max() ? 2 : 1}; }

  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 private:
  /// What a window spans along one axis: [begin, end) within the plane, and its length with
  /// padding, which AVE divides by.
  struct Range {
    int begin, end;
    int length;
  };

  bool is_max() const { return parameter_.pooling_param().pool() == PoolingParameter::MAX; }
  int out_size(int size, int kernel, int pad, int stride) const;
  static std::vector<Range> ranges(int outputs, int size, int kernel, int pad, int stride);
  void max_of_plane(const float* x, float* y, int* index) const;
  void mean_of_plane(const float* x, float* y) const;

  int height_ = 0, width_ = 0;
  int kernel_h_ = 0, kernel_w_ = 0, pad_h_ = 0, pad_w_ = 0, stride_h_ = 1, stride_w_ = 1;
  int out_height_ = 0, out_width_ = 0;
  std::vector<Range> rows_;
  std::vector<Range> columns_;
  std::vector<int> largest_;
};

int PoolingLayer::out_size(int size, int kernel, int pad, int stride) const {
  const int span = size + 2 * pad - kernel;
  const bool floors = parameter_.pooling_param().round_mode() == PoolingParameter::FLOOR;
  const bool fits = floors ? span >= 0 : span > -stride;
  if (!fits) return 0;
  const int out = (floors ? span : span + stride - 1) / stride + 1;
  // The last window must start within the plane, not behind it.
  return std::int64_t{out - 1} * stride >= size + pad ? out - 1 : out;
}

void PoolingLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const PoolingParameter& p = parameter_.pooling_param();
  if (p.pool() == PoolingParameter::STOCHASTIC) fail("pool: STOCHASTIC is not there yet");
  if (bottom[0]->axes() != 4)
    fail("works on N x C x H x W, and the bottom is ", to_string(bottom[0]->shape()));
  height_ = bottom[0]->shape(2);
  width_ = bottom[0]->shape(3);
  if (p.global_pooling()) {
    if (p.has_kernel_size() || p.has_kernel_h() || p.has_kernel_w())
      fail("global_pooling takes no kernel_size");
    kernel_h_ = height_;
    kernel_w_ = width_;
  } else {
    kernel_h_ = size_of("kernel_size", p.has_kernel_h() ? p.kernel_h() : p.kernel_size());
    kernel_w_ = size_of("kernel_size", p.has_kernel_w() ? p.kernel_w() : p.kernel_size());
  }
  pad_h_ = size_of("pad", p.has_pad_h() ? p.pad_h() : p.pad());
  pad_w_ = size_of("pad", p.has_pad_w() ? p.pad_w() : p.pad());
  stride_h_ = size_of("stride", p.has_stride_h() ? p.stride_h() : p.stride());
  stride_w_ = size_of("stride", p.has_stride_w() ? p.stride_w() : p.stride());
  if (kernel_h_ < 1 || kernel_w_ < 1) fail("kernel_size is missing or 0");
  if (stride_h_ < 1 || stride_w_ < 1) fail("stride cannot be 0");
  if (pad_h_ >= kernel_h_ || pad_w_ >= kernel_w_) fail("pad must be smaller than the kernel");
  if (p.global_pooling() && (pad_h_ != 0 || pad_w_ != 0 || stride_h_ != 1 || stride_w_ != 1))
    fail("global_pooling takes no pad and a stride of 1");
  out_height_ = out_size(height_, kernel_h_, pad_h_, stride_h_);
  out_width_ = out_size(width_, kernel_w_, pad_w_, stride_w_);
  if (out_height_ < 1 || out_width_ < 1)
    fail("the kernel, ", kernel_h_, "x", kernel_w_, ", is larger than the padded bottom, ",
         to_string(bottom[0]->shape()));
  rows_ = ranges(out_height_, height_, kernel_h_, pad_h_, stride_h_);
  columns_ = ranges(out_width_, width_, kernel_w_, pad_w_, stride_w_);
  for (Blob* blob : top)
    blob->reshape({bottom[0]->shape(0), bottom[0]->shape(1), out_height_, out_width_});
}

std::vector<PoolingLayer::Range> PoolingLayer::ranges(int outputs, int size, int kernel, int pad,
                                                      int stride) {
  std::vector<Range> all;
  for (int i = 0; i < outputs; ++i) {
    const int begin = i * stride - pad;
    const int end = std::min(begin + kernel, size + pad);
    all.push_back({std::max(begin, 0), std::min(end, size), end - begin});
  }
  return all;
}

void PoolingLayer::max_of_plane(const float* x, float* y, int* index) const {
  for (const Range& rows : rows_) {
    for (const Range& columns : columns_) {
      int best = rows.begin * width_ + columns.begin;
      float largest = x[best];
      for (int row = rows.begin; row < rows.end; ++row)
        for (int i = row * width_ + columns.begin; i < row * width_ + columns.end; ++i) {
          best = x[i] > largest ? i : best;
          largest = x[i] > largest ? x[i] : largest;
        }
      *y++ = largest;
      *index++ = best;
    }
  }
}

void PoolingLayer::mean_of_plane(const float* x, float* y) const {
  for (const Range& rows : rows_) {
    for (const Range& columns : columns_) {
      float sum = 0;
      for (int row = rows.begin; row < rows.end; ++row)
        for (int i = row * width_ + columns.begin; i < row * width_ + columns.end; ++i) sum += x[i];
      *y++ = sum / (static_cast<float>(rows.length) * static_cast<float>(columns.length));
    }
  }
}

void PoolingLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  const int outputs = out_height_ * out_width_;
  const int planes = bottom[0]->count(0, 2);
  if (is_max()) largest_.resize(static_cast<std::size_t>(planes) * outputs);
  parallel_for(planes, grain_of(4LL * height_ * width_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) {
      const float* pixels = x + plane * height_ * width_;
      if (is_max())
        max_of_plane(pixels, y + plane * outputs, largest_.data() + plane * outputs);
      else
        mean_of_plane(pixels, y + plane * outputs);
    }
  });
  if (top.size() > 1) std::copy(largest_.begin(), largest_.end(), top[1]->mutable_cpu_data());
}

void PoolingLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                            const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  const int outputs = out_height_ * out_width_;
  const auto backward_plane = [&](std::int64_t plane) {
    float* pixels = dx + plane * height_ * width_;
    std::fill_n(pixels, height_ * width_, 0.0f);
    for (int i = 0; i < outputs; ++i) {
      const float gradient = dy[plane * outputs + i];
      if (is_max()) {
        pixels[largest_[plane * outputs + i]] += gradient;
        continue;
      }
      const Range& rows = rows_[i / out_width_];
      const Range& columns = columns_[i % out_width_];
      const float share =
          gradient / (static_cast<float>(rows.length) * static_cast<float>(columns.length));
      for (int row = rows.begin; row < rows.end; ++row)
        for (int p = row * width_ + columns.begin; p < row * width_ + columns.end; ++p)
          pixels[p] += share;
    }
  };
  parallel_for(bottom[0]->count(0, 2), grain_of(4LL * height_ * width_),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t plane = begin; plane < end; ++plane) backward_plane(plane);
               });
}

REGISTER_LAYER(Pooling, CPU, PoolingLayer);

}  // namespace vibnet
