#pragma once

#include <cmath>

#include "layers/recurrent_layer.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// What an LSTM's unit `d` of `n` does at one step; the gates are i, f, o and g.
struct LSTMCell {
  VIBNET_HOST_DEVICE static float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }

  VIBNET_HOST_DEVICE static void step(const RecurrentCell& cell, int n, int d) {
    float& i = cell.gate[d];
    float& f = cell.gate[n + d];
    float& o = cell.gate[2 * n + d];
    float& g = cell.gate[3 * n + d];
    i = sigmoid(i);
    f = cell.cont == 0 ? 0 : cell.cont * sigmoid(f);
    o = sigmoid(o);
    g = std::tanh(g);
    cell.c[d] = f * cell.c_before[d] + i * g;
    cell.h[d] = o * std::tanh(cell.c[d]);
  }

  // The slope of f is Caffe's, which is the true one where cont is 0 or 1.
  VIBNET_HOST_DEVICE static void step_back(const RecurrentCell& cell, int n, int d, const float* dh,
                                           float* dc, float* dgate) {
    const float i = cell.gate[d];
    const float f = cell.gate[n + d];
    const float o = cell.gate[2 * n + d];
    const float g = cell.gate[3 * n + d];
    const float tanh_c = std::tanh(cell.c[d]);
    const float dc_all = dc[d] + dh[d] * o * (1 - tanh_c * tanh_c);
    dgate[d] = dc_all * g * i * (1 - i);
    dgate[n + d] = dc_all * cell.c_before[d] * f * (1 - f);
    dgate[2 * n + d] = dh[d] * tanh_c * o * (1 - o);
    dgate[3 * n + d] = dc_all * i * (1 - g * g);
    dc[d] = dc_all * f;
  }
};

/// Long short-term memory (Caffe's LSTM): i, f and o are the sigmoids, g the tanh of the four
/// gates' inputs, in this order; c = cont f c_before + i g, and the output is h = o tanh(c).
/// Bottoms, tops and parameters are RecurrentLayer's, the states h and c.
class LSTMLayer : public RecurrentLayer {
 public:
  using RecurrentLayer::RecurrentLayer;

 protected:
  int gates() const override { return 4; }
  int states() const override { return 2; }
  void step(const Cell& cell) const override;
  void step_back(const Cell& cell, const float* dh, float* dc, float* dgate) const override;
  void write_output(const float* h, Blob* top) override;
  void read_output_gradient(const float* h, const Blob& top, float* dh) override;
};

}  // namespace vibnet
