#include <algorithm>

#include "layers/labelled_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// One-against-all hinge loss (Caffe's HingeLoss): the sum over the classes of max(0, 1 - x) for
/// the label and max(0, 1 + x) for the others, with norm: L2 each squared, divided by the batch.
///
/// Bottoms: scores, N x classes (the axes from 1 on together); N labels. Top: the loss, a scalar.
class HingeLossLayer : public LabelledLayer {
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
    const float* x = bottom[0]->cpu_data();
    double loss = 0;
    for (int i = 0; i < bottom[0]->count(); ++i) {
      const double excess = std::max(0.0f, 1 + sign(i) * x[i]);
      loss += is_squared() ? excess * excess : excess;
    }
    context_.ranks->sum(&loss, 1);
    top[0]->mutable_cpu_data()[0] = static_cast<float>(loss / batch());
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
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

 private:
  /// The samples of all ranks.
  int batch() const { return std::max(1, rows() * context_.ranks->size()); }
  bool is_squared() const { return parameter_.hinge_loss_param().norm() == HingeLossParameter::L2; }
  float sign(int i) const { return classes_of_rows_[i / classes_] == i % classes_ ? -1.0f : 1.0f; }
};

REGISTER_LAYER(HingeLoss, CPU, HingeLossLayer);

}  // namespace vibnet
