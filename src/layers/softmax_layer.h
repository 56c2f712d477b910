#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// exp(x) divided by its sum along `axis`, in place if asked (Caffe's Softmax).
class SoftmaxLayer : public Layer {
 public:
  using Layer::Layer;

  bool runs_in_place() const override { return true; }
  bool reads_tops(const Blobs& /*bottom*/, const Blobs& /*top*/) const override { return true; }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    const int axis = bottom[0]->canonical_axis(parameter_.softmax_param().axis());
    outer_ = bottom[0]->count(0, axis);
    classes_ = bottom[0]->shape(axis);
    inner_ = bottom[0]->count(axis + 1);
    top[0]->reshape_like(*bottom[0]);
  }

  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  int outer_ = 0;
  int classes_ = 0;
  int inner_ = 0;
};

}  // namespace vibnet
