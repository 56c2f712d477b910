#include "layers/accuracy_layer.h"

#include <numeric>
#include <vector>

#include "vibnet/registry.h"

namespace vibnet {

void AccuracyLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const int axis = bottom[0]->canonical_axis(parameter_.accuracy_param().axis());
  find_rows(bottom, axis, axis + 1);
  top_k_ = size_of("top_k", parameter_.accuracy_param().top_k());
  if (top_k_ > classes_) fail("top_k: ", top_k_, " is more than the ", classes_, " classes");
  top[0]->reshape({});
  if (top.size() > 1) top[1]->reshape({classes_});
}

void AccuracyLayer::forward(const Blobs& bottom, const Blobs& top) {
  read_labels(*bottom[1], parameter_.accuracy_param());
  std::vector<double> seen(classes_);
  std::vector<double> right(classes_);
  for (int row = 0; row < rows(); ++row) {
    const int label = classes_of_rows_[row];
    if (label == kLeftOut) continue;
    ++seen[label];
    right[label] += is_right(bottom[0]->cpu_data(), row, label) ? 1 : 0;
  }
  context_.ranks->sum(seen.data(), seen.size());
  context_.ranks->sum(right.data(), right.size());
  top[0]->mutable_cpu_data()[0] = share(std::accumulate(right.begin(), right.end(), 0.0),
                                        std::accumulate(seen.begin(), seen.end(), 0.0));
  if (top.size() == 1) return;
  for (int c = 0; c < classes_; ++c) top[1]->mutable_cpu_data()[c] = share(right[c], seen[c]);
}

float AccuracyLayer::share(double part, double whole) {
  return whole == 0 ? 0 : static_cast<float>(part) / static_cast<float>(whole);
}

bool AccuracyLayer::is_right(const float* scores, int row, int label) const {
  int not_below = 0;
  for (int c = 0; c < classes_; ++c)
    if (c != label && scores[index_of(row, c)] >= scores[index_of(row, label)]) ++not_below;
  return not_below < top_k_;
}

REGISTER_LAYER(Accuracy, CPU, AccuracyLayer);

}  // namespace vibnet
