// The layers that look at a neighbourhood in each plane.

#include <algorithm>
#include <array>

#include "export/rules.h"
#include "layers/spp_bins.h"

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

/// What a pooling is in ONNX.
struct Node {
  const char* op;
  Values inputs;
  Attributes attributes;
};

Node max_node(const std::string& x, const Windows& windows) {
  return {"MaxPool", {x}, attributes_of(windows, pads_of(windows))};
}

/// Caffe divides by the window's size within the padded plane. ONNX divides by the whole window or
/// by what of it is no padding; where neither is the same, the plane is padded before.
Node average_node(std::string x, const Windows& windows, LayerExport* layer) {
  Integers pads = pads_of(windows);
  bool whole_windows = true;
  for (const Window& window : windows)
    whole_windows = whole_windows && window.overshoot() <= window.pad;
  if (!whole_windows && (pads[0] > 0 || pads[1] > 0)) {
    x = layer->step("Pad", {x, layer->ints({0, 0, pads[0], pads[1], 0, 0, pads[0], pads[1]})});
    pads = {0, 0, std::max<std::int64_t>(pads[2] - pads[0], 0),
            std::max<std::int64_t>(pads[3] - pads[1], 0)};
  }
  Node node{"AveragePool", {x}, attributes_of(windows, pads)};
  node.attributes.push_back(integer("count_include_pad", whole_windows ? 1 : 0));
  return node;
}

/// In TEST the mean of a window's values, each weighed by itself; 0 where all are 0.
Node stochastic_node(const std::string& x, const Windows& windows, LayerExport* layer) {
  const auto mean_of = [&](const std::string& values) {
    const Node mean = average_node(values, windows, layer);
    return layer->step(mean.op, mean.inputs, mean.attributes);
  };
  const std::string mean = mean_of(x);
  const std::string squares = mean_of(layer->step("Mul", {x, x}));
  const std::string zero = layer->scalar(0);
  const std::string has_any = layer->step("Greater", {mean, zero});
  return {"Where", {has_any, layer->step("Div", {squares, mean}), zero}, {}};
}

void check_windows(const Windows& windows, const LayerExport& layer) {
  for (const Window& window : windows)
    if ((window.outputs - 1) * window.stride - window.pad >= window.size)
      layer.fail("its last window stands behind the plane, which has no ONNX form");
}

/// A second top says where in its plane the maximum stands; ONNX counts through all planes.
void export_with_mask(const Windows& windows, LayerExport* layer) {
  const Node node = max_node(layer->bottom().name, windows);
  const Values found = layer->steps(2, node.op, node.inputs, node.attributes);
  layer->alias(0, found[0]);
  const std::int64_t plane = windows[0].size * windows[1].size;
  const std::string place = layer->step("Mod", {found[1], layer->ints({plane})});
  layer->make_top(1, "Cast", {place}, {integer("to", onnx::TensorProto::FLOAT)});
}

template <typename Method>
Node pooling_node(Method method, const std::string& x, const Windows& windows, LayerExport* layer) {
  check_windows(windows, *layer);
  if (method == PoolingParameter::MAX) return max_node(x, windows);
  if (method == PoolingParameter::AVE) return average_node(x, windows, layer);
  return stochastic_node(x, windows, layer);
}

Window bins_along(std::int64_t size, int level) {
  const SPPBins bins = spp_bins(size, level);
  return {size, bins.kernel, bins.pad, bins.kernel, std::int64_t{1} << level};
}

}  // namespace

void export_pooling(LayerExport* layer) {
  const PoolingParameter& p = layer->parameter().pooling_param();
  const std::string& x = layer->bottom().name;
  const bool is_max = p.pool() == PoolingParameter::MAX;
  if (p.global_pooling() && layer->tops().size() == 1 && p.pool() != PoolingParameter::STOCHASTIC)
    return layer->make_top(0, is_max ? "GlobalMaxPool" : "GlobalAveragePool", {x});
  Windows windows = windows_of(*layer);
  if (p.global_pooling())
    for (Window& window : windows) window.kernel = window.size;
  const Node node = pooling_node(p.pool(), x, windows, layer);
  if (layer->tops().size() > 1) return export_with_mask(windows, layer);
  layer->make_top(0, node.op, node.inputs, node.attributes);
}

void export_spp(LayerExport* layer) {
  const SPPParameter& p = layer->parameter().spp_param();
  const Value& x = layer->bottom();
  Values levels;
  for (int i = 0; i < static_cast<int>(p.pyramid_height()); ++i) {
    const Windows windows = {bins_along(x.size(2), i), bins_along(x.size(3), i)};
    const auto method = static_cast<PoolingParameter::PoolMethod>(p.pool());
    const Node node = pooling_node(method, x.name, windows, layer);
    levels.push_back(layer->step(node.op, node.inputs, node.attributes));
  }
  if (levels.size() == 1) return layer->alias(0, levels[0]);
  for (std::string& level : levels) level = layer->step("Flatten", {level}, {integer("axis", 1)});
  layer->make_top(0, "Concat", levels, {integer("axis", 1)});
}

/// Bilinear, corner on corner. The size is stated in full, and what of it is the batch is read off
/// the bottom, since scales in floats could miss it by one.
void export_interp(LayerExport* layer) {
  const InterpParameter& p = layer->parameter().interp_param();
  const Value& x = layer->bottom();
  const Value& y = layer->top();
  std::string kept = x.name;
  if (p.pad_beg() != 0 || p.pad_end() != 0) {
    const std::string begins = layer->ints({-p.pad_beg(), -p.pad_beg()});
    const std::string ends = layer->ints({x.size(2) + p.pad_end(), x.size(3) + p.pad_end()});
    kept = layer->step("Slice", {kept, begins, ends, layer->ints({2, 3})});
  }
  const std::string shape = layer->step("Shape", {x.name});
  const std::string planes =
      layer->step("Slice", {shape, layer->ints({0}), layer->ints({2}), layer->ints({0})});
  const std::string sizes =
      layer->step("Concat", {planes, layer->ints({y.size(2), y.size(3)})}, {integer("axis", 0)});
  layer->make_top(
      0, "Resize", {kept, "", "", sizes},
      {text("mode", "linear"), text("coordinate_transformation_mode", "align_corners")});
}

}  // namespace vibnet
