#pragma once

// For .cu files only.

#include "layers/labelled_layer.h"
#include "layers/wrong_row.h"
#include "math/loops_gpu.h"

namespace vibnet {

/// The labels of a LabelledLayer as kernels read them.
class LabelsGPU {
 public:
  template <typename Parameter>
  LabelsGPU(const Blob& labels, const Parameter& parameter, int classes, int* wrong)
      : values_(labels.gpu_data()), ignored_(parameter), classes_(classes), wrong_(wrong) {}

  /// The row's class; -1 where it does not count, and for what is no class, which is noted.
  __device__ int of(int row) const {
    const float label = values_[row];
    return ignored_.has(label) ? -1 : read_index(values_, row, classes_, wrong_);
  }

 private:
  const float* values_;
  Ignored ignored_;
  int classes_;
  int* wrong_;
};

/// A LabelledLayer on the GPU, which says afterwards that a label is no class.
template <typename Base>
class LabelledOnGPU : public Base {
 public:
  using Base::Base;

  void check(const Blobs& bottom) override {
    const int row = wrong_.take();
    if (row >= 0) this->fail_label(bottom[1]->cpu_data()[row], row);
  }

 protected:
  template <typename Parameter>
  LabelsGPU labels(const Blobs& bottom, const Parameter& parameter) {
    return {*bottom[1], parameter, this->classes_, wrong_.on_gpu()};
  }

 private:
  WrongRow wrong_;
};

}  // namespace vibnet
