#include "layers/hinge_loss_layer.h"

#include <algorithm>

#include "vibnet/registry.h"

namespace vibnet {

void HingeLossLayer::reshape(const Blobs& bottom, const Blobs& top) {
  find_rows(bottom, 1, bottom[0]->axes());
  top[0]->reshape({});
}

void HingeLossLayer::forward(const Blobs& bottom, const Blobs& top) {
  read_labels(*bottom[1], LossParameter());
  const float* x = bottom[0]->cpu_data();
  double loss = 0;
  for (int i = 0; i < bottom[0]->count(); ++i) {
    const double excess = std::max(0.0f, 1 + sign(i) * x[i]);
    loss += is_squared() ? excess * excess : excess;
  }
  context_.ranks->sum(&loss, 1);
  top[0]->mutable_cpu_data()[0] = static_cast<float>(loss / batch());
}

void HingeLossLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                              const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* x = bottom[0]->cpu_data();
  const float scale = top[0]->cpu_diff()[0] / static_cast<float>(batch());
  float* dx = bottom[0]->mutable_cpu_diff();
  for (int i = 0; i < bottom[0]->count(); ++i) {
    const float excess = std::max(0.0f, 1 + sign(i) * x[i]);
    const float slope = is_squared() ? 2 * excess : excess > 0 ? 1.0f : 0.0f;
    dx[i] = scale * sign(i) * slope;
  }
}

REGISTER_LAYER(HingeLoss, CPU, HingeLossLayer);

}  // namespace vibnet
