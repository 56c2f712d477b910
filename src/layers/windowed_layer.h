#pragma once

#include <cstdint>
#include <vector>

#include "math/im2col.h"
#include "vibnet/layer.h"

namespace vibnet {

/// A layer whose window moves over the axes behind a channel axis: what the layers of a
/// convolution_param have in common. kernel_size, stride, pad and dilation take one value, or one
/// for each of those axes; the _h and _w fields stand for two.
class WindowedLayer : public Layer {
 public:
  using Layer::Layer;

  /// How the window moves along each axis behind the channels.
  std::vector<WindowAxis> window_axes() const {
    return {window_.axes.begin() + first_axis(), window_.axes.end()};
  }

 protected:
  /// Finds the channel axis and reads the window; the axes' sizes are left to set_sizes.
  void read_window(const Blob& bottom);
  /// Sets the window's sizes to those of the blob's axes behind the channel axis.
  void set_sizes(const Shape& shape);
  /// The window's axes that the blobs have: those in front of them are of size 1.
  int first_axis() const { return static_cast<int>(window_.axes.size()) - spatial_axes_; }
  /// The shape's axes in front of the channels, then `channels`, then the window's places.
  Shape shape_of_places(const Shape& bottom, int channels) const;

  int channel_axis_ = 1;
  int spatial_axes_ = 0;
  Window window_;

 private:
  using Sizes = google::protobuf::RepeatedField<google::protobuf::uint32>;

  /// A field's values, one for each spatial axis.
  std::vector<int> per_axis(const char* field, const Sizes& values, int missing) const;
  /// The same, for a field that has _h and _w forms.
  std::vector<int> per_axis(const char* field, const Sizes& values, int missing, bool has_h,
                            std::uint32_t h, bool has_w, std::uint32_t w) const;
};

}  // namespace vibnet
