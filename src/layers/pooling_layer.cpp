#include "layers/pooling_layer.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "math/parallel.h"
#include "math/scratch.h"
#include "simd/kernels.h"
#include "vibnet/registry.h"

namespace vibnet {

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
  const auto is_whole = [&](const Range& range) { return range.end - range.begin == kernel_w_; };
  const auto first = std::find_if(columns_.begin(), columns_.end(), is_whole);
  first_whole_ = static_cast<int>(first - columns_.begin());
  last_whole_ =
      static_cast<int>(std::find_if_not(first, columns_.end(), is_whole) - columns_.begin());
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
  const int inner = last_whole_ - first_whole_;
  const auto largest = kernels().max_of_windows;
  for (const Range& rows : rows_) {
    const auto max_of = [&](int column, int kernel_w, int count) {
      largest({x, width_, rows.begin * width_ + columns_[column].begin, rows.end - rows.begin,
               kernel_w, stride_w_, count, y + column, index + column});
    };
    const auto clipped = [&](int i) { max_of(i, columns_[i].end - columns_[i].begin, 1); };
    for (int i = 0; i < first_whole_; ++i) clipped(i);
    for (int i = last_whole_; i < out_width_; ++i) clipped(i);
    if (inner > 0) max_of(first_whole_, kernel_w_, inner);
    y += out_width_;
    index += out_width_;
  }
}

/// Whether windows of 2 x 2 cover the plane side by side.
bool PoolingLayer::halves_plane() const {
  return kernel_h_ == 2 && kernel_w_ == 2 && stride_h_ == 2 && stride_w_ == 2 &&
         2 * out_height_ == height_ && 2 * out_width_ == width_;
}

/// Gives each window's gradient to the pixel that was chosen. In narrow planes zeros are written
/// faster all at once.
void PoolingLayer::spread(const float* dy, const int* chosen, float* dx) const {
  constexpr int kNarrow = 8;
  if (halves_plane() && out_width_ > kNarrow)
    return kernels().spread_windows({dy, chosen, out_height_, out_width_, dx});
  std::fill_n(dx, height_ * width_, 0.0f);
  for (int i = 0; i < out_height_ * out_width_; ++i) dx[chosen[i]] += dy[i];
}

/// By rows of pixels that are summed first, side by side.
void PoolingLayer::mean_of_plane(const float* x, float* y) const {
  float* sums = scratch(width_);
  for (const Range& rows : rows_) {
    std::fill_n(sums, width_, 0.0f);
    for (int row = rows.begin; row < rows.end; ++row)
      for (int i = 0; i < width_; ++i) sums[i] += x[row * width_ + i];
    for (const Range& columns : columns_) {
      float sum = 0;
      for (int i = columns.begin; i < columns.end; ++i) sum += sums[i];
      *y++ = sum / (static_cast<float>(rows.length) * static_cast<float>(columns.length));
    }
  }
}

/// Adds what each window gives back to all its pixels.
void PoolingLayer::add_mean_gradients(const float* dy, float* dx) const {
  float* shares = scratch(width_);
  for (const Range& rows : rows_) {
    std::fill_n(shares, width_, 0.0f);
    for (const Range& columns : columns_) {
      const float share =
          *dy++ / (static_cast<float>(rows.length) * static_cast<float>(columns.length));
      for (int i = columns.begin; i < columns.end; ++i) shares[i] += share;
    }
    for (int row = rows.begin; row < rows.end; ++row)
      for (int i = 0; i < width_; ++i) dx[row * width_ + i] += shares[i];
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

/// Of values, which is never 0, and of squares.
std::pair<float, float> PoolingLayer::sums_of_window(const float* x, const Range& rows,
                                                     const Range& columns) const {
  float sum = std::numeric_limits<float>::min();
  float squares = 0;
  for (int row = rows.begin; row < rows.end; ++row)
    for (int i = row * width_ + columns.begin; i < row * width_ + columns.end; ++i) {
      sum += x[i];
      squares += x[i] * x[i];
    }
  return {sum, squares};
}

/// The sum of squares by the sum of values; 0 where all are 0.
void PoolingLayer::weighted_mean_of_plane(const float* x, float* y) const {
  for (const Range& rows : rows_)
    for (const Range& columns : columns_) {
      const auto [sum, squares] = sums_of_window(x, rows, columns);
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

/// The same of a weighted mean, squares / sum, whose slope is (2 x - squares / sum) / sum.
void PoolingLayer::add_weighted_gradients(const float* x, const float* dy, float* dx) const {
  for (const Range& rows : rows_)
    for (const Range& columns : columns_) {
      const auto [sum, squares] = sums_of_window(x, rows, columns);
      const float share = *dy++ / sum;
      for (int row = rows.begin; row < rows.end; ++row)
        for (int i = row * width_ + columns.begin; i < row * width_ + columns.end; ++i)
          dx[i] += share * (2 * x[i] - squares / sum);
    }
}

void PoolingLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                            const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* x = bottom[0]->cpu_data();
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  const int outputs = out_height_ * out_width_;
  const bool chooses = this->chooses();
  const auto backward_plane = [&](std::int64_t plane) {
    float* pixels = dx + plane * height_ * width_;
    const float* gradients = dy + plane * outputs;
    if (chooses) return spread(gradients, chosen_.data() + plane * outputs, pixels);
    std::fill_n(pixels, height_ * width_, 0.0f);
    if (is_stochastic())
      add_weighted_gradients(x + plane * height_ * width_, gradients, pixels);
    else
      add_mean_gradients(gradients, pixels);
  };
  parallel_for(bottom[0]->count(0, 2), grain_of(4LL * height_ * width_),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t plane = begin; plane < end; ++plane) backward_plane(plane);
               });
}

REGISTER_LAYER(Pooling, CPU, PoolingLayer);

}  // namespace vibnet
