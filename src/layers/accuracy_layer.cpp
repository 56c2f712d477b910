
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// The share of rows whose label is among the top_k largest scores (Caffe's Accuracy; a tie counts
/// against the label).
///
/// Bottoms: scores, outer x classes x inner around `axis`; labels, outer x inner. Tops: the share,
/// a scalar; per class, if named.
class AccuracyLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, 2}; }
  BlobCount top_count() const override { return {1, 2}; }
  bool has_gradient(int /*bottom*/) const override { return false; }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    const int axis = bottom[0]->canonical_axis(parameter_.accuracy_param().axis());
    classes_ = bottom[0]->shape(axis);
    inner_ = bottom[0]->count(axis + 1);
    if (top_k() > classes_) fail("top_k: ", top_k(), " is more than the ", classes_, " classes");
    if (bottom[1]->count() != bottom[0]->count(0, axis) * inner_)
      fail("needs ", bottom[0]->count(0, axis) * inner_, " labels, and has ", bottom[1]->count());
    top[0]->reshape({});
    if (top.size() > 1) top[1]->reshape({classes_});
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const AccuracyParameter& parameter = parameter_.accuracy_param();
    const float* labels = bottom[1]->cpu_data();
    std::vector<int> seen(classes_);
    std::vector<int> right(classes_);
    for (int row = 0; row < bottom[1]->count(); ++row) {
      if (parameter.has_ignore_label() &&
          labels[row] == static_cast<float>(parameter.ignore_label()))
        continue;
      if (!(labels[row] >= 0 && labels[row] < static_cast<float>(classes_)))
        fail("label ", labels[row], " of row ", row, " is not one of the classes 0 to ",
             classes_ - 1);
      const int label = static_cast<int>(labels[row]);
      ++seen[label];
      right[label] += is_right(bottom[0]->cpu_data(), row, label) ? 1 : 0;
    }
    int all_seen = 0;
    int all_right = 0;
    for (int c = 0; c < classes_; ++c) {
      all_seen += seen[c];
      all_right += right[c];
      if (top.size() > 1) top[1]->mutable_cpu_data()[c] = share(right[c], seen[c]);
    }
    top[0]->mutable_cpu_data()[0] = share(all_right, all_seen);
  }

 private:
  int top_k() const { return static_cast<int>(parameter_.accuracy_param().top_k()); }

  static float share(int part, int whole) {
    return whole == 0 ? 0 : static_cast<float>(part) / static_cast<float>(whole);
  }

  bool is_right(const float* scores, int row, int label) const {
    const float* first = scores + row / inner_ * classes_ * inner_ + row % inner_;
    int not_below = 0;
    for (int c = 0; c < classes_; ++c)
      if (c != label && first[c * inner_] >= first[label * inner_]) ++not_below;
    return not_below < top_k();
  }

  int classes_ = 0;
  int inner_ = 0;
};

REGISTER_LAYER(Accuracy, CPU, AccuracyLayer);

}  // namespace vibnet
