#pragma once

#include <vector>

#include "vibnet.pb.h"

namespace vibnet {

using Mask = std::vector<bool>;

int count_kept(const Mask& mask);
/// True if nothing goes.
bool is_whole(const Mask& mask);
std::vector<int> kept_indices(const Mask& mask);

/// Each entry of the mask `times` times: the features of a channel after a Flatten.
Mask repeated(const Mask& mask, int times);

/// The size of a stored blob's axis; 1 for one it does not have.
int axis_size(const BlobProto& blob, int axis);

/// Keeps the slices of the axis that the mask names, and rewrites the shape.
void keep_along(const Mask& mask, int axis, BlobProto* blob);

/// Multiplies each slice of the axis by its factor.
void scale_along(const std::vector<float>& factors, int axis, BlobProto* blob);

/// A one-axis blob of these values.
BlobProto make_blob(const std::vector<float>& values);

}  // namespace vibnet
