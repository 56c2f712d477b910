#pragma once

#include <algorithm>

#include "vibnet/layer.h"

namespace vibnet {

inline bool contains(const Blobs& blobs, const Blob* blob) {
  return std::find(blobs.begin(), blobs.end(), blob) != blobs.end();
}

}  // namespace vibnet
