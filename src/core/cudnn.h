#pragma once

#include <cudnn.h>

#include "vibnet/error.h"

namespace vibnet {

/// Throws Error with cuDNN's own words when a call failed.
inline void check_cudnn(cudnnStatus_t status, const char* call) {
  if (status != CUDNN_STATUS_SUCCESS) fail("GPU: ", call, ": ", cudnnGetErrorString(status));
}

}  // namespace vibnet
