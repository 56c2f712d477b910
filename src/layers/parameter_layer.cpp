#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// A learned blob of the given shape as a top (Caffe's Parameter). It starts as zeros; weights are
/// read into it.
class ParameterLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {0, 0}; }

  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override {
    add_blob(shape_of(parameter_.parameter_param().shape()), nullptr);
  }

  void reshape(const Blobs& /*bottom*/, const Blobs& top) override {
    top[0]->reshape_like(*blobs_[0]);
  }

  void forward(const Blobs& /*bottom*/, const Blobs& top) override {
    top[0]->share_data(*blobs_[0]);
  }

  void backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                const Blobs& /*bottom*/) override {
    if (!learns(0)) return;
    const float* dy = top[0]->cpu_diff();
    float* gradient = blobs_[0]->mutable_cpu_diff();
    parallel_for(top[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) gradient[i] += dy[i];
    });
  }
};

REGISTER_LAYER(Parameter, CPU, ParameterLayer);

}  // namespace vibnet
