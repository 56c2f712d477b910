#pragma once

#include <vector>

#include "layers/loss.h"
#include "vibnet/host_device.h"
#include "vibnet/layer.h"

namespace vibnet {

/// The scores of a LabelledLayer, outer x classes x inner, as outer x inner rows of classes.
struct ScoreRows {
  int classes;
  int inner;

  /// Where the row's score of a class stands.
  VIBNET_HOST_DEVICE int index(int row, int c) const {
    return (row / inner * classes + c) * inner + row % inner;
  }
  /// The row and the class of the i-th score.
  VIBNET_HOST_DEVICE int row_of(int i) const { return i / (classes * inner) * inner + i % inner; }
  VIBNET_HOST_DEVICE int class_of(int i) const { return i / inner % classes; }
};

/// What Accuracy and the losses over classes share: the scores, outer x classes x inner, and the
/// labels of their outer x inner rows, whole numbers from 0.
class LabelledLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, 2}; }
  bool has_gradient(int bottom) const override { return bottom == 0; }

 protected:
  static constexpr int kLeftOut = -1;

  /// Finds outer, classes and inner, the classes being the axes from `first` up to `end`. Throws
  /// Error unless there is a label for each row.
  void find_rows(const Blobs& bottom, int first, int end);

  /// Fills classes_of_rows_ and counts the valid. Throws Error for a label that is no class.
  template <typename Parameter>
  void read_labels(const Blob& labels, const Parameter& parameter) {
    const Ignored ignored(parameter);
    classes_of_rows_.assign(rows(), kLeftOut);
    valid_ = 0;
    for (int row = 0; row < rows(); ++row) {
      const float label = labels.cpu_data()[row];
      if (ignored.has(label)) continue;
      if (!(label >= 0 && label < static_cast<float>(classes_))) fail_label(label, row);
      classes_of_rows_[row] = static_cast<int>(label);
      ++valid_;
    }
  }
  [[noreturn]] void fail_label(float label, int row) const;

  int rows() const { return outer_ * inner_; }
  /// Where the row's score of a class stands; of the next class, `inner_` behind it.
  int index_of(int row, int c) const { return score_rows().index(row, c); }
  ScoreRows score_rows() const { return {classes_, inner_}; }

  int outer_ = 0;
  int classes_ = 0;
  int inner_ = 0;
  int valid_ = 0;
  /// Of the last read_labels: kLeftOut for rows that do not count.
  std::vector<int> classes_of_rows_;
};

}  // namespace vibnet
