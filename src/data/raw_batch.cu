#include "data/raw_batch.h"

#include "math/loops_gpu.h"

namespace vibnet {

/// Public, as it hands a loop a lambda.
void transform_records(const RawTransform& transform, int count, float* values) {
  for_each_gpu(count, [=] __device__(int i) { values[i] = transform.value(i); });
}

namespace {

const bool registered = register_raw_transform(transform_records);

}  // namespace
}  // namespace vibnet
