#include "layers/multinomial_logistic_loss_layer.h"

#include <algorithm>
#include <cmath>

#include "vibnet/registry.h"

namespace vibnet {

void MultinomialLogisticLossLayer::reshape(const Blobs& bottom, const Blobs& top) {
  find_rows(bottom, 1, bottom[0]->axes());
  top[0]->reshape({});
}

void MultinomialLogisticLossLayer::forward(const Blobs& bottom, const Blobs& top) {
  read_labels(*bottom[1], LossParameter());
  double loss = 0;
  for (int row = 0; row < rows(); ++row) loss -= std::log(probability(bottom, row));
  context_.ranks->sum(&loss, 1);
  top[0]->mutable_cpu_data()[0] = static_cast<float>(loss / batch());
}

void MultinomialLogisticLossLayer::backward(const Blobs& top,
                                            const std::vector<bool>& propagate_down,
                                            const Blobs& bottom) {
  if (!propagate_down[0]) return;
  bottom[0]->set_diff(0);
  const float scale = -top[0]->cpu_diff()[0] / static_cast<float>(batch());
  float* dx = bottom[0]->mutable_cpu_diff();
  for (int row = 0; row < rows(); ++row)
    dx[index_of(row, classes_of_rows_[row])] = scale / probability(bottom, row);
}

float MultinomialLogisticLossLayer::probability(const Blobs& bottom, int row) const {
  return off_zero(bottom[0]->cpu_data()[index_of(row, classes_of_rows_[row])]);
}

REGISTER_LAYER(MultinomialLogisticLoss, CPU, MultinomialLogisticLossLayer);

}  // namespace vibnet
