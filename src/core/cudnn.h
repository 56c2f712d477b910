#pragma once

#include <cudnn.h>

#include <string>

#include "core/cuda.h"

namespace vibnet {

/// Throws Error with cuDNN's own words when a call failed.
inline void check_cudnn(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)
    fail_out_of_memory(std::string("bytes for ") + call);
  if (status != CUDNN_STATUS_SUCCESS) fail("GPU: ", call, ": ", cudnnGetErrorString(status));
}

}  // namespace vibnet
