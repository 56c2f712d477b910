#include "layers/softmax_loss_layer.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "math/softmax.h"
#include "vibnet/registry.h"

namespace vibnet {

void SoftmaxWithLossLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const int axis = bottom[0]->canonical_axis(parameter_.softmax_param().axis());
  outer_ = bottom[0]->count(0, axis);
  classes_ = bottom[0]->shape(axis);
  inner_ = bottom[0]->count(axis + 1);
  if (bottom[1]->count() != outer_ * inner_)
    fail("needs ", outer_ * inner_, " labels for a bottom of ", to_string(bottom[0]->shape()),
         ", and has ", bottom[1]->count());
  probabilities_.reshape_like(*bottom[0]);
  top[0]->reshape({});
  if (top.size() > 1) top[1]->reshape_like(*bottom[0]);
}

void SoftmaxWithLossLayer::fail_label(float label, int row) const {
  fail("label ", label, " of row ", row, " is not one of the classes 0 to ", classes_ - 1);
}

float SoftmaxWithLossLayer::normalizer(int valid) const {
  const LossParameter& parameter = parameter_.loss_param();
  auto mode = parameter.normalization();
  if (!parameter.has_normalization() && parameter.has_normalize())
    mode = parameter.normalize() ? LossParameter::VALID : LossParameter::BATCH_SIZE;
  switch (mode) {
    case LossParameter::FULL:
      return static_cast<float>(std::max(1, outer_ * inner_));
    case LossParameter::BATCH_SIZE:
      return static_cast<float>(std::max(1, outer_));
    case LossParameter::NONE:
      return 1;
    default:
      return static_cast<float>(std::max(1, valid));
  }
}

void SoftmaxWithLossLayer::forward(const Blobs& bottom, const Blobs& top) {
  float* probability = probabilities_.mutable_cpu_data();
  softmax(bottom[0]->cpu_data(), outer_, classes_, inner_, probability);
  const float* labels = bottom[1]->cpu_data();
  double loss = 0;
  valid_ = 0;
  for (int row = 0; row < outer_ * inner_; ++row) {
    if (is_ignored(labels[row])) continue;
    if (!(labels[row] >= 0 && labels[row] < static_cast<float>(classes_)))
      fail_label(labels[row], row);
    const int label = static_cast<int>(labels[row]);
    const int at = (row / inner_ * classes_ + label) * inner_ + row % inner_;
    loss -= std::log(std::max(probability[at], FLT_MIN));
    ++valid_;
  }
  top[0]->mutable_cpu_data()[0] = static_cast<float>(loss / normalizer(valid_));
  if (top.size() > 1) top[1]->share_data(probabilities_);
}

void SoftmaxWithLossLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* probability = probabilities_.cpu_data();
  const float* labels = bottom[1]->cpu_data();
  const float scale = top[0]->cpu_diff()[0] / normalizer(valid_);
  float* dx = bottom[0]->mutable_cpu_diff();
  for (int i = 0; i < bottom[0]->count(); ++i) dx[i] = probability[i] * scale;
  for (int row = 0; row < outer_ * inner_; ++row) {
    float* first = dx + row / inner_ * classes_ * inner_ + row % inner_;
    if (is_ignored(labels[row]))
      for (int c = 0; c < classes_; ++c) first[c * inner_] = 0;
    else
      first[static_cast<int>(labels[row]) * inner_] -= scale;
  }
}

REGISTER_LAYER(SoftmaxWithLoss, CPU, SoftmaxWithLossLayer);

}  // namespace vibnet
