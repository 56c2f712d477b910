#include "layers/batch_reindex_layer.h"

#include "layers/wrong_row.h"
#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class BatchReindexLayerGPU : public BatchReindexLayer {
 public:
  using BatchReindexLayer::BatchReindexLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int samples = bottom[0]->shape(0);
    const int size = bottom[0]->count(1);
    const float* indices = bottom[1]->gpu_data();
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    int* wrong = wrong_.on_gpu();
    for_each_gpu(top[0]->count(), [=] __device__(int i) {
      const int sample = read_index(indices, i / size, samples, wrong);
      y[i] = sample < 0 ? 0 : x[sample * size + i % size];
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const int samples = bottom[0]->shape(0);
    const int size = bottom[0]->count(1);
    const int picked = bottom[1]->count();
    const float* indices = bottom[1]->gpu_data();
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    int* wrong = wrong_.on_gpu();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      float sum = 0;
      for (int k = 0; k < picked; ++k)
        if (read_index(indices, k, samples, wrong) == i / size) sum += dy[k * size + i % size];
      dx[i] = sum;
    });
  }

  void check(const Blobs& bottom) override {
    const int row = wrong_.take();
    if (row >= 0) fail_index(bottom[1]->cpu_data()[row], bottom[0]->shape(0));
  }

 private:
  WrongRow wrong_;
};

REGISTER_LAYER(BatchReindex, GPU, BatchReindexLayerGPU);

}  // namespace vibnet
