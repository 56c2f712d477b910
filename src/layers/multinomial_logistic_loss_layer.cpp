#include <algorithm>
#include <cmath>

#include "layers/labelled_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Mean -log of the probability that the bottom gives to the label (Caffe's
/// MultinomialLogisticLoss).
///
/// Bottoms: probabilities, N x classes (the axes from 1 on together); N labels. Top: the loss, a
/// scalar.
class MultinomialLogisticLossLayer : public LabelledLayer {
 public:
  using LabelledLayer::LabelledLayer;

  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int /*top*/) const override { return 1; }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    find_rows(bottom, 1, bottom[0]->axes());
    top[0]->reshape({});
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    read_labels(*bottom[1], LossParameter());
    double loss = 0;
    for (int row = 0; row < rows(); ++row) loss -= std::log(probability(bottom, row));
    context_.ranks->sum(&loss, 1);
    top[0]->mutable_cpu_data()[0] = static_cast<float>(loss / batch());
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    bottom[0]->set_diff(0);
    const float scale = -top[0]->cpu_diff()[0] / static_cast<float>(batch());
    float* dx = bottom[0]->mutable_cpu_diff();
    for (int row = 0; row < rows(); ++row)
      dx[index_of(row, classes_of_rows_[row])] = scale / probability(bottom, row);
  }

 private:
  /// The samples of all ranks.
  int batch() const { return std::max(1, rows() * context_.ranks->size()); }
  float probability(const Blobs& bottom, int row) const {
    constexpr float kLeast = 1e-20f;
    return std::max(bottom[0]->cpu_data()[index_of(row, classes_of_rows_[row])], kLeast);
  }
};

REGISTER_LAYER(MultinomialLogisticLoss, CPU, MultinomialLogisticLossLayer);

}  // namespace vibnet
