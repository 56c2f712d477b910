// The layers that look at a neighbourhood in each plane.

#include <algorithm>
#include <array>

#include "export/rules.h"

namespace vibnet {
namespace {

/// A pooling window along one axis.
struct Window {
  std::int64_t size, kernel, pad, stride, outputs;

  /// How far the last window reaches beyond the plane's end.
  std::int64_t overshoot() const {
    return std::max<std::int64_t>((outputs - 1) * stride + kernel - pad - size, 0);
  }
};

using Windows = std::array<Window, 2>;

Window window(std::int64_t size, std::int64_t kernel, std::int64_t pad, std::int64_t stride,
              std::int64_t outputs) {
  return {size, kernel, pad, stride, outputs};
}

Windows windows_of(const LayerExport& layer) {
  const PoolingParameter& p = layer.parameter().pooling_param();
  const Value& x = layer.bottom();
  const Value& y = layer.top();
  return {window(x.size(2), p.has_kernel_h() ? p.kernel_h() : p.kernel_size(),
                 p.has_pad_h() ? p.pad_h() : p.pad(), p.has_stride_h() ? p.stride_h() : p.stride(),
                 y.size(2)),
          window(x.size(3), p.has_kernel_w() ? p.kernel_w() : p.kernel_size(),
                 p.has_pad_w() ? p.pad_w() : p.pad(), p.has_stride_w() ? p.stride_w() : p.stride(),
                 y.size(3))};
}

/// Caffe rounds sizes up; padding at the end, as much as the last window needs, says the same.
Attributes attributes_of(const Windows& windows, const Integers& pads) {
  return {integers("kernel_shape", {windows[0].kernel, windows[1].kernel}),
          integers("strides", {windows[0].stride, windows[1].stride}), integers("pads", pads)};
}

Integers pads_of(const Windows& windows) {
  return {windows[0].pad, windows[1].pad, windows[0].overshoot(), windows[1].overshoot()};
}

/// A second top says where in its plane the maximum stands; ONNX counts through all planes.
void export_max(const Windows& windows, LayerExport* layer) {
  const Values inputs = {layer->bottom().name};
  const Attributes attributes = attributes_of(windows, pads_of(windows));
  if (layer->tops().size() == 1) return layer->make_top(0, "MaxPool", inputs, attributes);
  const Values found = layer->steps(2, "MaxPool", inputs, attributes);
  layer->alias(0, found[0]);
  const std::int64_t plane = windows[0].size * windows[1].size;
  const std::string place = layer->step("Mod", {found[1], layer->ints({plane})});
  layer->make_top(1, "Cast", {place}, {integer("to", onnx::TensorProto::FLOAT)});
}

/// Caffe divides by the window's size within the padded plane. ONNX divides by the whole window or
/// by what of it is no padding; where neither is the same, the plane is padded before.
void export_average(const Windows& windows, LayerExport* layer) {
  std::string x = layer->bottom().name;
  Integers pads = pads_of(windows);
  bool whole_windows = true;
  for (const Window& window : windows)
    whole_windows = whole_windows && window.overshoot() <= window.pad;
  if (!whole_windows && (pads[0] > 0 || pads[1] > 0)) {
    x = layer->step("Pad", {x, layer->ints({0, 0, pads[0], pads[1], 0, 0, pads[0], pads[1]})});
    pads = {0, 0, std::max<std::int64_t>(pads[2] - pads[0], 0),
            std::max<std::int64_t>(pads[3] - pads[1], 0)};
  }
  Attributes attributes = attributes_of(windows, pads);
  attributes.push_back(integer("count_include_pad", whole_windows ? 1 : 0));
  layer->make_top(0, "AveragePool", {x}, attributes);
}

void export_global_pooling(LayerExport* layer) {
  const bool is_max = layer->parameter().pooling_param().pool() == PoolingParameter::MAX;
  layer->make_top(0, is_max ? "GlobalMaxPool" : "GlobalAveragePool", {layer->bottom().name});
}

}  // namespace

void export_pooling(LayerExport* layer) {
  const PoolingParameter& p = layer->parameter().pooling_param();
  if (p.pool() == PoolingParameter::STOCHASTIC) layer->fail("pool: STOCHASTIC has no ONNX form");
  if (p.global_pooling() && layer->tops().size() == 1) return export_global_pooling(layer);
  Windows windows = windows_of(*layer);
  if (p.global_pooling())
    for (Window& window : windows) window.kernel = window.size;
  for (const Window& window : windows)
    if ((window.outputs - 1) * window.stride - window.pad >= window.size)
      layer->fail("its last window stands behind the plane, which has no ONNX form");
  if (p.pool() == PoolingParameter::AVE) return export_average(windows, layer);
  export_max(windows, layer);
}

}  // namespace vibnet
