#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// One value for each window of each plane (Caffe's Pooling): its largest (MAX), its mean (AVE), or
/// one that is drawn (STOCHASTIC), each as likely as it is large; in TEST the mean of such draws.
///
/// Bottom: N x C x H x W; top: N x C x H' x W', and, if named, for MAX the index in the plane of
/// each window's largest value. Sizes round up unless round_mode is FLOOR, and a window that
/// would start behind the plane is left out, with a pad or without (Caffe leaves it out only with a
/// pad: there kernel_size: 1 stride: 2 makes 5x5 of 8x8, the last of windows that hold no value,
/// and here 4x4); AVE divides by the window's size within the padded plane, as Caffe does.
/// STOCHASTIC takes no pad, and is for values that are not negative.
class PoolingLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount top_count() const override { return {1, is_max() ? 2 : 1}; }

  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& top) const override {
    const bool is_padded = pad_h_ != 0 || pad_w_ != 0;
    if (top.size() > 1) return ChannelRule::wall();
    if (is_max()) return ChannelRule::each(Constants::SAME, Homogeneous::FOR_POSITIVE);
    if (is_stochastic()) return ChannelRule::each(Constants::ZERO, Homogeneous::NEVER);
    return ChannelRule::each(is_padded ? Constants::ZERO : Constants::SAME, Homogeneous::ALWAYS);
  }
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 private:
  using Constants = ChannelRule::Constants;
  using Homogeneous = ChannelRule::Homogeneous;

  /// What a window spans along one axis: [begin, end) within the plane, and its length with
  /// padding, which AVE divides by.
  struct Range {
    int begin, end;
    int length;
  };

  PoolingParameter::PoolMethod method() const { return parameter_.pooling_param().pool(); }
  bool is_max() const { return method() == PoolingParameter::MAX; }
  bool is_stochastic() const { return method() == PoolingParameter::STOCHASTIC; }
  /// Whether a window's value is one of its pixels, whose gradient then is the window's.
  bool chooses() const { return is_max() || (is_stochastic() && context_.phase == TRAIN); }
  void read_sizes();
  std::pair<int, int> read_pair(const char* field, std::optional<std::uint32_t> both,
                                std::optional<std::uint32_t> h, std::optional<std::uint32_t> w,
                                std::uint32_t missing) const;
  int out_size(int size, int kernel, int pad, int stride) const;
  static std::vector<Range> ranges(int outputs, int size, int kernel, int pad, int stride);
  void max_of_plane(const float* x, float* y, int* index) const;
  void mean_of_plane(const float* x, float* y) const;
  void draw_in_plane(const float* x, int plane, float* y, int* index) const;
  void weighted_mean_of_plane(const float* x, float* y) const;
  void add_gradients(const float* x, const Range& rows, const Range& columns, float gradient,
                     float* dx) const;

  int height_ = 0, width_ = 0;
  int kernel_h_ = 0, kernel_w_ = 0, pad_h_ = 0, pad_w_ = 0, stride_h_ = 1, stride_w_ = 1;
  int out_height_ = 0, out_width_ = 0;
  std::vector<Range> rows_;
  std::vector<Range> columns_;
  int samples_ = 0;
  int channels_ = 0;
  /// The pixel of each window that chooses() speaks of.
  std::vector<int> chosen_;
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

/// A field, or its _h and _w forms: never both, and never one of the two alone.
std::pair<int, int> PoolingLayer::read_pair(const char* field, std::optional<std::uint32_t> both,
                                            std::optional<std::uint32_t> h,
                                            std::optional<std::uint32_t> w,
                                            std::uint32_t missing) const {
  if ((h || w) && (both || !h || !w)) fail("give ", field, ", or both its _h and its _w");
  if (!h) h = w = both.value_or(missing);
  return {size_of(field, *h), size_of(field, *w)};
}

void PoolingLayer::read_sizes() {
  const PoolingParameter& p = parameter_.pooling_param();
  const auto given = [](bool has, std::uint32_t value) {
    return has ? std::optional<std::uint32_t>(value) : std::nullopt;
  };
  const auto kernel_size = given(p.has_kernel_size(), p.kernel_size());
  const auto kernel_h = given(p.has_kernel_h(), p.kernel_h());
  const auto kernel_w = given(p.has_kernel_w(), p.kernel_w());
  if (p.global_pooling() && (kernel_size || kernel_h || kernel_w))
    fail("global_pooling takes no kernel_size");
  std::tie(kernel_h_, kernel_w_) =
      p.global_pooling() ? std::make_pair(height_, width_)
                         : read_pair("kernel_size", kernel_size, kernel_h, kernel_w, 0);
  std::tie(pad_h_, pad_w_) =
      read_pair("pad", given(p.has_pad(), p.pad()), given(p.has_pad_h(), p.pad_h()),
                given(p.has_pad_w(), p.pad_w()), 0);
  std::tie(stride_h_, stride_w_) =
      read_pair("stride", given(p.has_stride(), p.stride()), given(p.has_stride_h(), p.stride_h()),
                given(p.has_stride_w(), p.stride_w()), 1);
  if (kernel_h_ < 1 || kernel_w_ < 1) fail("kernel_size is missing or 0");
  if (stride_h_ < 1 || stride_w_ < 1) fail("stride cannot be 0");
  if (is_stochastic() && (pad_h_ != 0 || pad_w_ != 0)) fail("pool: STOCHASTIC takes no pad");
  if (pad_h_ >= kernel_h_ || pad_w_ >= kernel_w_) fail("pad must be smaller than the kernel");
  if (p.global_pooling() && (pad_h_ != 0 || pad_w_ != 0 || stride_h_ != 1 || stride_w_ != 1))
    fail("global_pooling takes no pad and a stride of 1");
}

void PoolingLayer::reshape(const Blobs& bottom, const Blobs& top) {
  if (bottom[0]->axes() != 4)
    fail("works on N x C x H x W, and the bottom is ", to_string(bottom[0]->shape()));
  samples_ = bottom[0]->shape(0);
  channels_ = bottom[0]->shape(1);
  height_ = bottom[0]->shape(2);
  width_ = bottom[0]->shape(3);
  read_sizes();
  out_height_ = out_size(height_, kernel_h_, pad_h_, stride_h_);
  out_width_ = out_size(width_, kernel_w_, pad_w_, stride_w_);
  if (out_height_ < 1 || out_width_ < 1)
    fail("the kernel, ", kernel_h_, "x", kernel_w_, ", is larger than the padded bottom, ",
         to_string(bottom[0]->shape()));
  for (Blob* blob : top) blob->reshape({bottom[0]->shape(0), channels_, out_height_, out_width_});
  rows_ = ranges(out_height_, height_, kernel_h_, pad_h_, stride_h_);
  columns_ = ranges(out_width_, width_, kernel_w_, pad_w_, stride_w_);
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

/// Takes the first pixel at which the sum of the window reaches the drawn part of the whole.
void PoolingLayer::draw_in_plane(const float* x, int plane, float* y, int* index) const {
  const RandomKey key = random_key();
  const auto sample =
      static_cast<std::uint32_t>(context_.first_sample(0, samples_) + plane / channels_);
  std::uint32_t draw = static_cast<std::uint32_t>(plane % channels_) * out_height_ * out_width_;
  for (const Range& rows : rows_)
    for (const Range& columns : columns_) {
      float sum = 0;
      for (int row = rows.begin; row < rows.end; ++row)
        for (int i = row * width_ + columns.begin; i < row * width_ + columns.end; ++i) sum += x[i];
      const float part = sum * uniform4(key, context_.batch(), sample, draw / 4).values[draw % 4];
      ++draw;
      int chosen = -1;
      float reached = 0;
      for (int row = rows.begin; row < rows.end && !(chosen >= 0 && reached >= part); ++row)
        for (int i = row * width_ + columns.begin; i < row * width_ + columns.end; ++i) {
          chosen = i;
          if ((reached += x[i]) >= part) break;
        }
      *y++ = x[chosen];
      *index++ = chosen;
    }
}

/// The sum of squares by the sum of values; 0 where all are 0.
void PoolingLayer::weighted_mean_of_plane(const float* x, float* y) const {
  for (const Range& rows : rows_)
    for (const Range& columns : columns_) {
      float sum = std::numeric_limits<float>::min();
      float squares = 0;
      for (int row = rows.begin; row < rows.end; ++row)
        for (int i = row * width_ + columns.begin; i < row * width_ + columns.end; ++i) {
          sum += x[i];
          squares += x[i] * x[i];
        }
      *y++ = squares / sum;
    }
}

void PoolingLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  const int outputs = out_height_ * out_width_;
  const int planes = bottom[0]->count(0, 2);
  if (chooses()) chosen_.resize(static_cast<std::size_t>(planes) * outputs);
  parallel_for(planes, grain_of(4LL * height_ * width_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) {
      const float* pixels = x + plane * height_ * width_;
      float* out = y + plane * outputs;
      if (is_max())
        max_of_plane(pixels, out, chosen_.data() + plane * outputs);
      else if (chooses())
        draw_in_plane(pixels, static_cast<int>(plane), out, chosen_.data() + plane * outputs);
      else if (is_stochastic())
        weighted_mean_of_plane(pixels, out);
      else
        mean_of_plane(pixels, out);
    }
  });
  if (top.size() > 1) std::copy(chosen_.begin(), chosen_.end(), top[1]->mutable_cpu_data());
}

/// What a window that is not chosen from gives back to its pixels.
void PoolingLayer::add_gradients(const float* x, const Range& rows, const Range& columns,
                                 float gradient, float* dx) const {
  float offset = 1;
  float slope = 0;
  float divisor = static_cast<float>(rows.length) * static_cast<float>(columns.length);
  if (is_stochastic()) {  // squares / sum has the slope (2 x - squares / sum) / sum
    divisor = std::numeric_limits<float>::min();
    float squares = 0;
    for (int row = rows.begin; row < rows.end; ++row)
      for (int i = row * width_ + columns.begin; i < row * width_ + columns.end; ++i) {
        divisor += x[i];
        squares += x[i] * x[i];
      }
    offset = -squares / divisor;
    slope = 2;
  }
  const float share = gradient / divisor;
  for (int row = rows.begin; row < rows.end; ++row)
    for (int i = row * width_ + columns.begin; i < row * width_ + columns.end; ++i)
      dx[i] += share * (offset + slope * x[i]);
}

void PoolingLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                            const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* x = bottom[0]->cpu_data();
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  const int outputs = out_height_ * out_width_;
  const auto backward_plane = [&](std::int64_t plane) {
    float* pixels = dx + plane * height_ * width_;
    std::fill_n(pixels, height_ * width_, 0.0f);
    for (int i = 0; i < outputs; ++i) {
      const float gradient = dy[plane * outputs + i];
      if (chooses())
        pixels[chosen_[plane * outputs + i]] += gradient;
      else
        add_gradients(x + plane * height_ * width_, rows_[i / out_width_], columns_[i % out_width_],
                      gradient, pixels);
    }
  };
  parallel_for(bottom[0]->count(0, 2), grain_of(4LL * height_ * width_),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t plane = begin; plane < end; ++plane) backward_plane(plane);
               });
}

REGISTER_LAYER(Pooling, CPU, PoolingLayer);

}  // namespace vibnet
