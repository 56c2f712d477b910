#include "layers/contrastive_loss_layer.h"

#include <algorithm>
#include <cmath>

#include "vibnet/registry.h"

namespace vibnet {

void ContrastiveLossLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Shape& a = bottom[0]->shape();
  if (a.empty() || bottom[0]->count(std::min<int>(2, bottom[0]->axes())) != 1)
    fail("needs vectors, N x C, and bottom 0 is ", to_string(a));
  pairs_ = a[0];
  size_ = bottom[0]->count(1);
  if (bottom[1]->count() != bottom[0]->count() || bottom[1]->axes() == 0 ||
      bottom[1]->shape(0) != pairs_)
    fail("bottom 1 is ", to_string(bottom[1]->shape()), ", and bottom 0 is ", to_string(a));
  if (bottom[2]->count() != pairs_)
    fail("needs ", pairs_, " flags in bottom 2, and has ", bottom[2]->count());
  top[0]->reshape({});
}

void ContrastiveLossLayer::forward(const Blobs& bottom, const Blobs& top) {
  const ContrastiveRule rule = this->rule();
  double loss = 0;
  for (int pair = 0; pair < pairs_; ++pair)
    loss += rule.loss(are_similar(bottom, pair), squared_distance(bottom, pair));
  context_.ranks->sum(&loss, 1);
  top[0]->mutable_cpu_data()[0] = static_cast<float>(loss / 2 / batch());
}

void ContrastiveLossLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  const float* a = bottom[0]->cpu_data();
  const float* b = bottom[1]->cpu_data();
  const ContrastiveRule rule = this->rule();
  const float scale = top[0]->cpu_diff()[0] / static_cast<float>(batch());
  for (int side = 0; side < 2; ++side) {
    if (!propagate_down[side]) continue;
    float* dx = bottom[side]->mutable_cpu_diff();
    for (int pair = 0; pair < pairs_; ++pair) {
      const float pull = rule.pull(are_similar(bottom, pair), squared_distance(bottom, pair));
      const float factor = (side == 0 ? scale : -scale) * pull;
      for (int i = pair * size_; i < (pair + 1) * size_; ++i) dx[i] = factor * (a[i] - b[i]);
    }
  }
}

bool ContrastiveLossLayer::are_similar(const Blobs& bottom, int pair) {
  return std::trunc(bottom[2]->cpu_data()[pair]) != 0;
}

double ContrastiveLossLayer::squared_distance(const Blobs& bottom, int pair) const {
  const float* a = bottom[0]->cpu_data() + pair * size_;
  const float* b = bottom[1]->cpu_data() + pair * size_;
  double sum = 0;
  for (int i = 0; i < size_; ++i) sum += double{a[i] - b[i]} * (a[i] - b[i]);
  return sum;
}

REGISTER_LAYER(ContrastiveLoss, CPU, ContrastiveLossLayer);

}  // namespace vibnet
