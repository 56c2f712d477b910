#pragma once

#include <cmath>

#include "layers/recurrent_layer.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// What an RNN's unit `d` does at one step.
struct RNNCell {
  VIBNET_HOST_DEVICE static void step(const RecurrentCell& cell, int /*n*/, int d) {
    cell.h[d] = std::tanh(cell.gate[d]);
  }
  VIBNET_HOST_DEVICE static void step_back(const RecurrentCell& cell, int /*n*/, int d,
                                           const float* dh, float* /*dc*/, float* dgate) {
    dgate[d] = dh[d] * (1 - cell.h[d] * cell.h[d]);
  }
};

/// The plain recurrent net (Caffe's RNN): h = tanh(the one gate's input), and the output is
/// o = tanh(W_ho h + b_o). Bottoms, tops and parameters are RecurrentLayer's, the state h; after
/// them stand W_ho, D x D, and b_o, D.
class RNNLayer : public RecurrentLayer {
 public:
  using RecurrentLayer::RecurrentLayer;

  bool reads_tops(const Blobs& /*bottom*/, const Blobs& /*top*/) const override { return true; }
  void set_up(const Blobs& bottom, const Blobs& top) override;
  double flops() const override {
    return RecurrentLayer::flops() + 2.0 * rows() * units() * units();
  }

 protected:
  int gates() const override { return 1; }
  int states() const override { return 1; }
  void step(const Cell& cell) const override;
  void step_back(const Cell& cell, const float* dh, float* dc, float* dgate) const override;
  void write_output(const float* h, Blob* top) override;
  void read_output_gradient(const float* h, const Blob& top, float* dh) override;

  /// The place of W_ho in blobs().
  int output_weights_ = 0;
  /// The gradient of W_ho h + b_o.
  Blob sum_diff_;
};

}  // namespace vibnet
