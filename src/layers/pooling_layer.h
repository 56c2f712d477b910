#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "vibnet/layer.h"

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

 protected:
  PoolingParameter::PoolMethod method() const { return parameter_.pooling_param().pool(); }
  bool is_max() const { return method() == PoolingParameter::MAX; }
  bool is_stochastic() const { return method() == PoolingParameter::STOCHASTIC; }
  /// Whether a window's value is one of its pixels, whose gradient then is the window's.
  bool chooses() const { return is_max() || (is_stochastic() && context_.phase == TRAIN); }

  int height_ = 0, width_ = 0;
  int kernel_h_ = 0, kernel_w_ = 0, pad_h_ = 0, pad_w_ = 0, stride_h_ = 1, stride_w_ = 1;
  int out_height_ = 0, out_width_ = 0;
  int samples_ = 0, channels_ = 0;

 private:
  using Constants = ChannelRule::Constants;
  using Homogeneous = ChannelRule::Homogeneous;

  /// What a window spans along one axis: [begin, end) within the plane, and its length with
  /// padding, which AVE divides by.
  struct Range {
    int begin, end;
    int length;
  };

  void read_sizes();
  std::pair<int, int> read_pair(const char* field, std::optional<std::uint32_t> both,
                                std::optional<std::uint32_t> h, std::optional<std::uint32_t> w,
                                std::uint32_t missing) const;
  int out_size(int size, int kernel, int pad, int stride) const;
  static std::vector<Range> ranges(int outputs, int size, int kernel, int pad, int stride);
  bool halves_plane() const;
  void spread(const float* dy, const int* chosen, float* dx) const;
  void max_of_plane(const float* x, float* y, int* index) const;
  void mean_of_plane(const float* x, float* y) const;
  void draw_in_plane(const float* x, int plane, float* y, int* index) const;
  std::pair<float, float> sums_of_window(const float* x, const Range& rows,
                                         const Range& columns) const;
  void weighted_mean_of_plane(const float* x, float* y) const;
  void add_mean_gradients(const float* dy, float* dx) const;
  void add_weighted_gradients(const float* x, const float* dy, float* dx) const;

  std::vector<Range> rows_;
  std::vector<Range> columns_;
  /// The columns of windows that lie within the plane.
  int first_whole_ = 0, last_whole_ = 0;
  /// The pixel of each window that chooses() speaks of.
  std::vector<int> chosen_;
};

}  // namespace vibnet
