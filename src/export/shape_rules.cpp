// The layers that move values and change none.

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "export/rules.h"

namespace vibnet {

/// Dropout in TEST, Split: the tops are the bottom.
void export_same(LayerExport* layer) {
  for (int i = 0; i < static_cast<int>(layer->tops().size()); ++i)
    layer->alias(i, layer->bottom().name);
}

void export_silence(LayerExport* /*layer*/) {}

void export_parameter(LayerExport* layer) { layer->alias(0, layer->weight(0)); }

/// Flatten, Reshape: the values in the order they have, in the top's shape.
void export_shape_of_top(LayerExport* layer) { layer->reshape_top(0, layer->bottom().name); }

void export_concat(LayerExport* layer) {
  const ConcatParameter& p = layer->parameter().concat_param();
  const int axis = p.has_concat_dim() ? static_cast<int>(p.concat_dim()) : p.axis();
  Values parts;
  for (const Value& bottom : layer->bottoms()) parts.push_back(bottom.name);
  layer->make_top(0, "Concat", parts, {integer("axis", layer->bottom().axis(axis))});
}

void export_slice(LayerExport* layer) {
  if (layer->tops().size() == 1) return export_same(layer);
  const SliceParameter& p = layer->parameter().slice_param();
  const int axis =
      layer->bottom().axis(p.has_slice_dim() ? static_cast<int>(p.slice_dim()) : p.axis());
  Integers sizes;
  for (const Value& top : layer->tops()) sizes.push_back(top.size(axis));
  layer->make_tops("Split", {layer->bottom().name, layer->ints(sizes)}, {integer("axis", axis)});
}

void export_tile(LayerExport* layer) {
  const TileParameter& p = layer->parameter().tile_param();
  Integers repeats(layer->bottom().axes(), 1);
  repeats[layer->bottom().axis(p.axis())] = p.tiles();
  layer->make_top(0, "Tile", {layer->bottom().name, layer->ints(repeats)});
}

void export_crop(LayerExport* layer) {
  const CropParameter& p = layer->parameter().crop_param();
  const int first = layer->bottom().axis(p.axis());
  Integers begins, ends, axes;
  for (int axis = first; axis < layer->bottom().axes(); ++axis) {
    const int index = p.offset_size() > 1 ? axis - first : 0;
    begins.push_back(p.offset_size() == 0 ? 0 : p.offset(index));
    ends.push_back(begins.back() + layer->top().size(axis));
    axes.push_back(axis);
  }
  layer->make_top(
      0, "Slice",
      {layer->bottom().name, layer->ints(begins), layer->ints(ends), layer->ints(axes)});
}

/// The axes left out follow in their own order.
void export_permute(LayerExport* layer) {
  const auto& order = layer->parameter().permute_param().order();
  Integers axes(order.begin(), order.end());
  for (int axis = 0; axis < layer->bottom().axes(); ++axis)
    if (std::count(axes.begin(), axes.end(), axis) == 0) axes.push_back(axis);
  layer->make_top(0, "Transpose", {layer->bottom().name}, {integers("perm", axes)});
}

void export_shuffle_channel(LayerExport* layer) {
  const Value& x = layer->bottom();
  const int groups = static_cast<int>(layer->parameter().shuffle_channel_param().group());
  Integers dims = x.dims;
  dims[1] = x.size(1) / groups;
  dims.insert(dims.begin() + 1, groups);
  Integers order(dims.size());
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[1], order[2]);
  const std::string grouped = layer->reshaped(x.name, dims);
  layer->reshape_top(0, layer->step("Transpose", {grouped}, {integers("perm", order)}));
}

}  // namespace vibnet
