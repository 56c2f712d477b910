#include "data/raw_batch.h"

#include "core/cuda.h"

namespace vibnet {
namespace {

__global__ void transform_records(RawTransform transform, int count, float* values) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) values[i] = transform.value(i);
}

const bool registered =
    register_raw_transform([](const RawTransform& transform, int count, float* values) {
      transform_records<<<blocks_for(count), kThreadsPerBlock>>>(transform, count, values);
      check_launch("transform_records");
    });

}  // namespace
}  // namespace vibnet
