#include "compress/blob_edit.h"

#include <algorithm>
#include <utility>

#include "vibnet/blob.h"

namespace vibnet {
namespace {

/// The blob seen as outer x axis x inner.
struct View {
  int outer, axis, inner;
};

View view_along(const BlobProto& blob, int axis) {
  const Shape shape = shape_of(blob);
  const int axes = static_cast<int>(shape.size());
  return {count(shape, 0, axis), shape[axis], count(shape, axis + 1, axes)};
}

}  // namespace

int count_kept(const Mask& mask) {
  return static_cast<int>(std::count(mask.begin(), mask.end(), true));
}

bool is_whole(const Mask& mask) {
  return std::all_of(mask.begin(), mask.end(), [](bool kept) { return kept; });
}

std::vector<int> kept_indices(const Mask& mask) {
  std::vector<int> indices;
  for (std::size_t i = 0; i < mask.size(); ++i)
    if (mask[i]) indices.push_back(static_cast<int>(i));
  return indices;
}

Mask repeated(const Mask& mask, int times) {
  Mask features;
  for (const bool kept : mask) features.insert(features.end(), times, kept);
  return features;
}

int axis_size(const BlobProto& blob, int axis) {
  const Shape shape = shape_of(blob);
  return axis < static_cast<int>(shape.size()) ? shape[axis] : 1;
}

void keep_along(const Mask& mask, int axis, BlobProto* blob) {
  const View view = view_along(*blob, axis);
  Shape shape = shape_of(*blob);
  shape[axis] = count_kept(mask);
  google::protobuf::RepeatedField<float> kept;
  for (int o = 0; o < view.outer; ++o)
    for (int a = 0; a < view.axis; ++a) {
      const float* slice = blob->data().data() + (o * view.axis + a) * view.inner;
      if (mask[a]) kept.Add(slice, slice + view.inner);
    }
  blob->Clear();
  for (const int dimension : shape) blob->mutable_shape()->add_dim(dimension);
  *blob->mutable_data() = std::move(kept);
}

void scale_along(const std::vector<float>& factors, int axis, BlobProto* blob) {
  const View view = view_along(*blob, axis);
  float* values = blob->mutable_data()->mutable_data();
  for (int i = 0; i < view.outer * view.axis * view.inner; ++i)
    values[i] *= factors[i / view.inner % view.axis];
}

BlobProto make_blob(const std::vector<float>& values) {
  BlobProto blob;
  blob.mutable_shape()->add_dim(static_cast<int>(values.size()));
  blob.mutable_data()->Add(values.begin(), values.end());
  return blob;
}

}  // namespace vibnet
