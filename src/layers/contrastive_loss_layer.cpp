#include <algorithm>
#include <cmath>

#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// The loss of pairs of vectors at distance d that shall be near when similar, else at least
/// `margin` apart (Caffe's ContrastiveLoss; Hadsell, Chopra, LeCun 2006).
///
/// A similar pair has the loss d^2, another max(margin - d, 0)^2, or with legacy_version
/// max(margin - d^2, 0); their sum is divided by twice the pairs. Bottoms: a and b, N x C; N flags,
/// not 0 for similar. Top: the loss, a scalar.
class ContrastiveLossLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {3, 3}; }
  bool makes_missing_tops() const override { return true; }
  float default_loss_weight(int /*top*/) const override { return 1; }
  bool has_gradient(int bottom) const override { return bottom < 2; }

  void reshape(const Blobs& bottom, const Blobs& top) override {
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

  void forward(const Blobs& bottom, const Blobs& top) override {
    double loss = 0;
    for (int pair = 0; pair < pairs_; ++pair) {
      const double squared = squared_distance(bottom, pair);
      const double lacking = std::max(0.0, margin() - (is_legacy() ? squared : std::sqrt(squared)));
      if (are_similar(bottom, pair))
        loss += squared;
      else
        loss += is_legacy() ? lacking : lacking * lacking;
    }
    context_.ranks->sum(&loss, 1);
    top[0]->mutable_cpu_data()[0] = static_cast<float>(loss / 2 / batch());
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const float* a = bottom[0]->cpu_data();
    const float* b = bottom[1]->cpu_data();
    const float scale = top[0]->cpu_diff()[0] / static_cast<float>(batch());
    for (int side = 0; side < 2; ++side) {
      if (!propagate_down[side]) continue;
      float* dx = bottom[side]->mutable_cpu_diff();
      for (int pair = 0; pair < pairs_; ++pair) {
        const float factor = (side == 0 ? scale : -scale) * pull(bottom, pair);
        for (int i = pair * size_; i < (pair + 1) * size_; ++i) dx[i] = factor * (a[i] - b[i]);
      }
    }
  }

 private:
  double margin() const { return parameter_.contrastive_loss_param().margin(); }
  bool is_legacy() const { return parameter_.contrastive_loss_param().legacy_version(); }

  /// The pairs of all ranks.
  int batch() const { return std::max(1, pairs_ * context_.ranks->size()); }

  static bool are_similar(const Blobs& bottom, int pair) {
    return std::trunc(bottom[2]->cpu_data()[pair]) != 0;
  }

  double squared_distance(const Blobs& bottom, int pair) const {
    const float* a = bottom[0]->cpu_data() + pair * size_;
    const float* b = bottom[1]->cpu_data() + pair * size_;
    double sum = 0;
    for (int i = 0; i < size_; ++i) sum += double{a[i] - b[i]} * (a[i] - b[i]);
    return sum;
  }

  /// The pair's loss by a, over a - b.
  float pull(const Blobs& bottom, int pair) const {
    if (are_similar(bottom, pair)) return 1;
    constexpr double kNoDivisionByZero = 1e-4;  // Caffe's
    const double squared = squared_distance(bottom, pair);
    const double distance = std::sqrt(squared);
    if (is_legacy()) return squared < margin() ? -1.0f : 0.0f;
    return static_cast<float>(std::min(0.0, distance - margin()) / (distance + kNoDivisionByZero));
  }

  int pairs_ = 0;
  int size_ = 0;
};

REGISTER_LAYER(ContrastiveLoss, CPU, ContrastiveLossLayer);

}  // namespace vibnet
