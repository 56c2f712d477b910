#include "layers/windowed_layer.h"

#include <algorithm>

namespace vibnet {

std::vector<int> WindowedLayer::per_axis(const char* field, const Sizes& values,
                                         int missing) const {
  if (values.size() > 1 && values.size() != spatial_axes_)
    fail(field, " takes one value or one for each of the ", spatial_axes_,
         " axes behind the channels, and has ", values.size());
  std::vector<int> sizes;
  for (int axis = 0; axis < spatial_axes_; ++axis)
    sizes.push_back(values.empty() ? missing
                                   : size_of(field, values.Get(values.size() == 1 ? 0 : axis)));
  return sizes;
}

std::vector<int> WindowedLayer::per_axis(const char* field, const Sizes& values, int missing,
                                         bool has_h, std::uint32_t h, bool has_w,
                                         std::uint32_t w) const {
  if (!has_h && !has_w) return per_axis(field, values, missing);
  if (spatial_axes_ != 2)
    fail("the _h and _w fields of ", field, " are for 2 axes behind the channels, and there are ",
         spatial_axes_, "; use ", field);
  if (!values.empty()) fail("has ", field, " and its _h or _w field; give one");
  return {size_of(field, h), size_of(field, w)};
}

void WindowedLayer::read_window(const Blob& bottom) {
  const ConvolutionParameter& p = parameter_.convolution_param();
  channel_axis_ = bottom.canonical_axis(p.axis());
  spatial_axes_ = bottom.axes() - channel_axis_ - 1;
  const auto kernels = per_axis("kernel_size", p.kernel_size(), 0, p.has_kernel_h(), p.kernel_h(),
                                p.has_kernel_w(), p.kernel_w());
  const auto strides = per_axis("stride", p.stride(), 1, p.has_stride_h(), p.stride_h(),
                                p.has_stride_w(), p.stride_w());
  const auto pads = per_axis("pad", p.pad(), 0, p.has_pad_h(), p.pad_h(), p.has_pad_w(), p.pad_w());
  const auto dilations = per_axis("dilation", p.dilation(), 1);
  window_.axes.assign(std::max(2, spatial_axes_), WindowAxis());
  for (int axis = 0; axis < spatial_axes_; ++axis) {
    if (kernels[axis] < 1) fail("kernel_size is missing or 0");
    if (strides[axis] < 1) fail("stride cannot be 0");
    if (dilations[axis] < 1) fail("dilation cannot be 0");
    window_.axes[first_axis() + axis] = {1, kernels[axis], pads[axis], strides[axis],
                                         dilations[axis]};
  }
}

void WindowedLayer::set_sizes(const Shape& shape) {
  for (int axis = 0; axis < spatial_axes_; ++axis) {
    WindowAxis& along = window_.axes[first_axis() + axis];
    along.size = shape[channel_axis_ + 1 + axis];
    if (!along.fits())
      fail("the kernel spans ", along.reach(), " values of axis ", channel_axis_ + 1 + axis,
           ", more than the padded ", to_string(shape), " has");
  }
}

Shape WindowedLayer::shape_of_places(const Shape& bottom, int channels) const {
  Shape shape(bottom.begin(), bottom.begin() + channel_axis_);
  shape.push_back(channels);
  for (int axis = 0; axis < spatial_axes_; ++axis)
    shape.push_back(window_.axes[first_axis() + axis].outputs());
  return shape;
}

}  // namespace vibnet
