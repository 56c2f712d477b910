#include "layers/parameter_layer.h"

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void ParameterLayer::set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) {
  add_blob(shape_of(parameter_.parameter_param().shape()), nullptr);
}

void ParameterLayer::reshape(const Blobs& /*bottom*/, const Blobs& top) {
  top[0]->reshape_like(*blobs_[0]);
}

void ParameterLayer::forward(const Blobs& /*bottom*/, const Blobs& top) {
  top[0]->share_data(*blobs_[0]);
}

void ParameterLayer::backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                              const Blobs& /*bottom*/) {
  if (!learns(0)) return;
  const float* dy = top[0]->cpu_diff();
  float* gradient = blobs_[0]->mutable_cpu_diff();
  parallel_for(top[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) gradient[i] += dy[i];
  });
}

REGISTER_LAYER(Parameter, CPU, ParameterLayer);

}  // namespace vibnet
