#pragma once

// For the .cu files of the convolutions only.

#include <memory>
#include <utility>
#include <vector>

#include "layers/convolution_layer.h"
#include "math/convolution_gpu.h"

namespace vibnet {

/// A convolution on the GPU; what cuDNN has nothing for runs on the CPU.
template <typename Base>
class ConvolutionOnGPU : public Base {
 public:
  using Base::Base;

  void forward(const Blobs& bottom, const Blobs& top) override {
    if (!is_on_gpu_) return Base::forward(bottom, top);
    const float* weights = this->blobs_[0]->gpu_data();
    const float* bias = this->has_bias() ? this->blobs_[1]->gpu_data() : nullptr;
    for (std::size_t b = 0; b < bottom.size(); ++b) {
      const float* x = bottom[b]->gpu_data();
      float* y = top[b]->mutable_gpu_data();
      if (!this->is_transposed()) {
        this->kernel_->forward(x, weights, {bias}, y);
        continue;
      }
      this->kernel_->backward_data(x, weights, y);
      if (bias != nullptr)
        add_bias_gpu(this->samples_, this->outputs_, this->output_size_, bias, y);
    }
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!is_on_gpu_) return Base::backward(top, propagate_down, bottom);
    for (std::size_t b = 0; b < bottom.size(); ++b) {
      const float* x = bottom[b]->gpu_data();
      const float* dy = top[b]->gpu_diff();
      if (this->learns(0)) {
        const auto [maps, results] = this->is_transposed() ? std::pair(dy, x) : std::pair(x, dy);
        this->kernel_->backward_weights(maps, results, true, this->blobs_[0]->mutable_gpu_diff());
      }
      if (this->has_bias() && this->learns(1))
        add_bias_gradient_gpu(this->samples_, this->outputs_, this->output_size_, dy,
                              this->blobs_[1]->mutable_gpu_diff());
      if (!propagate_down[b]) continue;
      const float* weights = this->blobs_[0]->gpu_data();
      float* dx = bottom[b]->mutable_gpu_diff();
      if (this->is_transposed())
        this->kernel_->forward(dy, weights, {}, dx);
      else
        this->kernel_->backward_data(dy, weights, dx);
    }
  }

 protected:
  std::unique_ptr<ConvolutionKernel> make_kernel(const Convolution& convolution) override {
    std::unique_ptr<ConvolutionKernel> kernel = make_convolution_gpu(convolution);
    is_on_gpu_ = kernel != nullptr;
    return is_on_gpu_ ? std::move(kernel) : Base::make_kernel(convolution);
  }

 private:
  bool is_on_gpu_ = false;
};

}  // namespace vibnet
