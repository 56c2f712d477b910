#include "layers/infogain_loss_layer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "math/softmax.h"
#include "vibnet/proto_io.h"
#include "vibnet/registry.h"

namespace vibnet {

void InfogainLossLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  if (parameter_.loss_param().has_normalize()) fail("takes normalization, not normalize");
  if (bottom.size() == 3) return;
  const InfogainLossParameter& parameter = parameter_.infogain_loss_param();
  if (!parameter.has_source()) fail("needs a source file or a third bottom for its matrix");
  BlobProto proto;
  read_binary(parameter.source(), &proto);
  own_weights_.from_proto(proto);
}

void InfogainLossLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const int axis = bottom[0]->canonical_axis(parameter_.infogain_loss_param().axis());
  find_rows(bottom, axis, axis + 1);
  const Blob& weights = this->weights(bottom);
  if (weights.count() != static_cast<double>(classes_) * classes_)
    fail("the matrix is ", to_string(weights.shape()), ", and there are ", classes_, " classes");
  probabilities_.reshape_like(*bottom[0]);
  top[0]->reshape({});
  if (top.size() > 1) top[1]->reshape_like(*bottom[0]);
}

void InfogainLossLayer::forward(const Blobs& bottom, const Blobs& top) {
  read_labels(*bottom[1], parameter_.loss_param());
  float* probability = probabilities_.mutable_cpu_data();
  softmax(bottom[0]->cpu_data(), outer_, classes_, inner_, probability);
  double loss = 0;
  for (int row = 0; row < rows(); ++row) {
    if (classes_of_rows_[row] == kLeftOut) continue;
    const float* weights = weights_of(bottom, classes_of_rows_[row]);
    for (int c = 0; c < classes_; ++c)
      loss -= weights[c] * std::log(off_zero(probability[index_of(row, c)]));
  }
  const LossSums sums = LossSums{loss, double(valid_)}.over(context_.ranks);
  divisor_ = normalizer().of(static_cast<int>(sums.valid));
  top[0]->mutable_cpu_data()[0] = static_cast<float>(sums.loss / divisor_);
  if (top.size() > 1) top[1]->share_data(probabilities_);
}

void InfogainLossLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                                 const Blobs& bottom) {
  if (!propagate_down[0]) return;
  bottom[0]->set_diff(0);
  const float* probability = probabilities_.cpu_data();
  const float scale = top[0]->cpu_diff()[0] / divisor_;
  float* dx = bottom[0]->mutable_cpu_diff();
  for (int row = 0; row < rows(); ++row) {
    if (classes_of_rows_[row] == kLeftOut) continue;
    const float* weights = weights_of(bottom, classes_of_rows_[row]);
    const float sum = std::accumulate(weights, weights + classes_, 0.0f);
    for (int c = 0; c < classes_; ++c) {
      const int i = index_of(row, c);
      dx[i] = scale * (probability[i] * sum - weights[c]);
    }
  }
}

const Blob& InfogainLossLayer::weights(const Blobs& bottom) const {
  return bottom.size() == 3 ? *bottom[2] : own_weights_;
}

const float* InfogainLossLayer::weights_of(const Blobs& bottom, int label) const {
  return weights(bottom).cpu_data() + label * classes_;
}

REGISTER_LAYER(InfogainLoss, CPU, InfogainLossLayer);

}  // namespace vibnet
