#include "layers/softmax_loss_layer.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "math/softmax.h"
#include "vibnet/registry.h"

namespace vibnet {

void SoftmaxWithLossLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const int axis = bottom[0]->canonical_axis(parameter_.softmax_param().axis());
  find_rows(bottom, axis, axis + 1);
  probabilities_.reshape_like(*bottom[0]);
  top[0]->reshape({});
  if (top.size() > 1) top[1]->reshape_like(*bottom[0]);
}

void SoftmaxWithLossLayer::forward(const Blobs& bottom, const Blobs& top) {
  read_labels(*bottom[1], parameter_.loss_param());
  float* probability = probabilities_.mutable_cpu_data();
  softmax(bottom[0]->cpu_data(), outer_, classes_, inner_, probability);
  double loss = 0;
  for (int row = 0; row < rows(); ++row)
    if (classes_of_rows_[row] != kLeftOut)
      loss -= std::log(std::max(probability[index_of(row, classes_of_rows_[row])], FLT_MIN));
  const LossSums sums = LossSums{loss, double(valid_)}.over(context_.ranks);
  divisor_ = normalizer().of(static_cast<int>(sums.valid));
  top[0]->mutable_cpu_data()[0] = static_cast<float>(sums.loss / divisor_);
  if (top.size() > 1) top[1]->share_data(probabilities_);
}

void SoftmaxWithLossLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                    const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* probability = probabilities_.cpu_data();
  const float scale = top[0]->cpu_diff()[0] / divisor_;
  float* dx = bottom[0]->mutable_cpu_diff();
  for (int i = 0; i < bottom[0]->count(); ++i) dx[i] = probability[i] * scale;
  for (int row = 0; row < rows(); ++row) {
    if (classes_of_rows_[row] == kLeftOut)
      for (int c = 0; c < classes_; ++c) dx[index_of(row, c)] = 0;
    else
      dx[index_of(row, classes_of_rows_[row])] -= scale;
  }
}

REGISTER_LAYER(SoftmaxWithLoss, CPU, SoftmaxWithLossLayer);

}  // namespace vibnet
