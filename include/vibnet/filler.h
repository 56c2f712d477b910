#pragma once

#include "vibnet.pb.h"
#include "vibnet/blob.h"
#include "vibnet/random.h"

namespace vibnet {

/// Fills the blob's data as Caffe's filler of that type does: constant, uniform, gaussian (sparse
/// too), positive_unitball, xavier, msra, bilinear. Throws Error on an unknown type or a shape the
/// filler does not fit.
void fill(const FillerParameter& filler, RandomKey key, Blob* blob);

}  // namespace vibnet
