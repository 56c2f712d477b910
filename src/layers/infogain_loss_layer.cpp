#include <algorithm>
#include <cmath>
#include <numeric>

#include "layers/labelled_layer.h"
#include "math/softmax.h"
#include "vibnet/proto_io.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Cross-entropy of softmax(x) in which each class has a row of weights for all classes (Caffe's
/// InfogainLoss): the loss of a row is -sum over c of H[label][c] log p[c].
///
/// Bottoms: x, outer x classes x inner around `axis`; labels, outer x inner; H, classes x classes,
/// or without it the file `source`, a binaryproto. Tops: the loss, a scalar; the probabilities, if
/// named. `ignore_label` and `normalization` are as for SoftmaxWithLoss; the older `normalize` is
/// refused.
class InfogainLossLayer : public LabelledLayer {
 public:
  using LabelledLayer::LabelledLayer;

  BlobCount bottom_count() const override { return {2, 3}; }
  BlobCount top_count() const override { return {1, 2}; }
  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int top) const override { return top == 0 ? 1 : 0; }

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override {
    if (parameter_.loss_param().has_normalize()) fail("takes normalization, not normalize");
    if (bottom.size() == 3) return;
    const InfogainLossParameter& parameter = parameter_.infogain_loss_param();
    if (!parameter.has_source()) fail("needs a source file or a third bottom for its matrix");
    BlobProto proto;
    read_binary(parameter.source(), &proto);
    own_weights_.from_proto(proto);
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    const int axis = bottom[0]->canonical_axis(parameter_.infogain_loss_param().axis());
    find_rows(bottom, axis, axis + 1);
    const Blob& weights = this->weights(bottom);
    if (weights.count() != static_cast<double>(classes_) * classes_)
      fail("the matrix is ", to_string(weights.shape()), ", and there are ", classes_, " classes");
    probabilities_.reshape_like(*bottom[0]);
    top[0]->reshape({});
    if (top.size() > 1) top[1]->reshape_like(*bottom[0]);
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    read_labels(*bottom[1], parameter_.loss_param());
    float* probability = probabilities_.mutable_cpu_data();
    softmax(bottom[0]->cpu_data(), outer_, classes_, inner_, probability);
    double loss = 0;
    for (int row = 0; row < rows(); ++row) {
      if (classes_of_rows_[row] == kLeftOut) continue;
      const float* weights = weights_of(bottom, classes_of_rows_[row]);
      for (int c = 0; c < classes_; ++c)
        loss -= weights[c] * std::log(std::max(probability[index_of(row, c)], kLeastProbability));
    }
    LossCounts counts{rows(), valid_, outer_};
    sum_over_ranks(context_.ranks, &loss, &counts);
    normalizer_ = loss_normalizer(parameter_.loss_param(), LossParameter::VALID, counts);
    top[0]->mutable_cpu_data()[0] = static_cast<float>(loss / normalizer_);
    if (top.size() > 1) top[1]->share_data(probabilities_);
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    bottom[0]->set_diff(0);
    const float* probability = probabilities_.cpu_data();
    const float scale = top[0]->cpu_diff()[0] / normalizer_;
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

 private:
  static constexpr float kLeastProbability = 1e-20f;

  const Blob& weights(const Blobs& bottom) const {
    return bottom.size() == 3 ? *bottom[2] : own_weights_;
  }
  const float* weights_of(const Blobs& bottom, int label) const {
    return weights(bottom).cpu_data() + label * classes_;
  }

  float normalizer_ = 1;
  Blob own_weights_;
  Blob probabilities_;
};

REGISTER_LAYER(InfogainLoss, CPU, InfogainLossLayer);

}  // namespace vibnet
