// The layers that look through an axis.

#include <limits>
#include <numeric>

#include "export/rules.h"

namespace vibnet {
namespace {

/// The largest `k` along an axis: their values and, as floats, their indices.
struct Largest {
  std::string values;
  std::string indices;
};

/// Of equal values Caffe names the last one first and ONNX the first one: the axis is turned round.
Largest find_largest(const std::string& x, int axis, int size, std::int64_t k, LayerExport* layer) {
  const std::string turned = layer->step(
      "Slice", {x, layer->ints({-1}), layer->ints({std::numeric_limits<std::int64_t>::min()}),
                layer->ints({axis}), layer->ints({-1})});
  const Values found = layer->steps(2, "TopK", {turned, layer->ints({k})}, {integer("axis", axis)});
  const std::string index = layer->step("Sub", {layer->ints({size - 1}), found[1]});
  return {found[0], layer->step("Cast", {index}, {integer("to", onnx::TensorProto::FLOAT)})};
}

}  // namespace

void export_arg_max(LayerExport* layer) {
  const ArgMaxParameter& p = layer->parameter().argmax_param();
  const Value& x = layer->bottom();
  if (p.has_axis()) {
    const int axis = x.axis(p.axis());
    const Largest found = find_largest(x.name, axis, x.size(axis), p.top_k(), layer);
    return layer->alias(0, p.out_max_val() ? found.values : found.indices);
  }
  int size = 1;
  for (int axis = 1; axis < x.axes(); ++axis) size *= x.size(axis);
  const std::string rows = layer->step("Flatten", {x.name}, {integer("axis", 1)});
  const Largest found = find_largest(rows, 1, size, p.top_k(), layer);
  layer->reshape_top(0, p.out_max_val() ? layer->step("Concat", {found.indices, found.values},
                                                      {integer("axis", 1)})
                                        : found.indices);
}

void export_reduction(LayerExport* layer) {
  const ReductionParameter& p = layer->parameter().reduction_param();
  const Value& x = layer->bottom();
  Integers axes(x.axes() - x.axis(p.axis()));
  std::iota(axes.begin(), axes.end(), x.axis(p.axis()));
  const Attributes keepdims = {integer("keepdims", 0)};
  const Attributes over = {integers("axes", axes), integer("keepdims", 0)};
  std::string result;
  switch (p.operation()) {
    case ReductionParameter::SUM:
      result = layer->step("ReduceSum", {x.name, layer->ints(axes)}, keepdims);
      break;
    case ReductionParameter::ASUM:
      result = layer->step("ReduceL1", {x.name}, over);
      break;
    case ReductionParameter::SUMSQ:
      result = layer->step("ReduceSumSquare", {x.name}, over);
      break;
    case ReductionParameter::MEAN:
      result = layer->step("ReduceMean", {x.name}, over);
      break;
  }
  if (p.coeff() == 1) return layer->alias(0, result);
  layer->make_top(0, "Mul", {result, layer->scalar(p.coeff())});
}

void export_batch_reindex(LayerExport* layer) {
  const std::string indices =
      layer->step("Cast", {layer->bottom(1).name}, {integer("to", onnx::TensorProto::INT64)});
  layer->make_top(0, "Gather", {layer->bottom().name, indices});
}

}  // namespace vibnet
