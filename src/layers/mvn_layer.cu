#include "layers/mvn_layer.h"

#include "math/loops_gpu.h"
#include "vibnet/registry.h"

namespace vibnet {

class MVNLayerGPU : public MVNLayer {
 public:
  using MVNLayer::MVNLayer;

  void forward(const Blobs& bottom, const Blobs& top) override {
    const int size = size_;
    const float* x = bottom[0]->gpu_data();
    float* y = top[0]->mutable_gpu_data();
    float* normalized = normalized_.mutable_gpu_data();
    for (Blob* blob : {&means_, &divisors_}) blob->reshape({rows_});
    float* means = means_.mutable_gpu_data();
    float* divisors = divisors_.mutable_gpu_data();
    sum_rows_gpu(
        rows_, size,
        [=] __device__(int row, int i) {
          return Sums{x[row * size + i], 0};
        },
        [=] __device__(int row, const Sums& sums) {
          means[row] = static_cast<float>(sums.first / size);
          divisors[row] = 1;
        });
    if (parameter().normalize_variance()) find_divisors(x);
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      y[i] = normalized[i] = (x[i] - means[i / size]) / divisors[i / size];
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const int size = size_;
    const bool by_variance = parameter().normalize_variance();
    const float* y = normalized_.gpu_data();
    const float* dy = top[0]->gpu_diff();
    float* dx = bottom[0]->mutable_gpu_diff();
    slopes_.reshape({rows_});
    float* means = means_.mutable_gpu_data();
    float* slopes = slopes_.mutable_gpu_data();
    sum_rows_gpu(
        rows_, size,
        [=] __device__(int row, int i) {
          const int place = row * size + i;
          return Sums{dy[place], dy[place] * y[place]};
        },
        [=] __device__(int row, const Sums& sums) {
          means[row] = static_cast<float>(sums.first / size);
          slopes[row] = by_variance ? static_cast<float>(sums.second / size) : 0;
        });
    const float* divisors = divisors_.gpu_data();
    for_each_gpu(bottom[0]->count(), [=] __device__(int i) {
      const int row = i / size;
      dx[i] = (dy[i] - means[row] - slopes[row] * y[i]) / divisors[row];
    });
  }

  void find_divisors(const float* x) {
    const int size = size_;
    const float eps = parameter().eps();
    const float* means = means_.gpu_data();
    float* divisors = divisors_.mutable_gpu_data();
    sum_rows_gpu(
        rows_, size,
        [=] __device__(int row, int i) {
          const float off = x[row * size + i] - means[row];
          return Sums{off * off, 0};
        },
        [=] __device__(int row, const Sums& sums) {
          divisors[row] = static_cast<float>(sqrt(sums.first / size)) + eps;
        });
  }

 private:
  /// Of each row, of x in forward and of dy in backward.
  Blob means_;
  Blob divisors_;
  Blob slopes_;
};

REGISTER_LAYER(MVN, GPU, MVNLayerGPU);

}  // namespace vibnet
