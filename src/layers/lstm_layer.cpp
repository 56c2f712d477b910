#include <algorithm>
#include <cmath>

#include "layers/recurrent_layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Long short-term memory (Caffe's LSTM): i, f and o are the sigmoids, g the tanh of the four
/// gates' inputs, in this order; c = cont f c_before + i g, and the output is h = o tanh(c).
/// Bottoms, tops and parameters are RecurrentLayer's, the states h and c.
class LSTMLayer : public RecurrentLayer {
 public:
  using RecurrentLayer::RecurrentLayer;

 protected:
  int gates() const override { return 4; }
  int states() const override { return 2; }

  void step(const Cell& cell) const override {
    float* const i = cell.gate;
    float* const f = i + units();
    float* const o = f + units();
    float* const g = o + units();
    for (int d = 0; d < units(); ++d) {
      i[d] = sigmoid(i[d]);
      f[d] = cell.cont == 0 ? 0 : cell.cont * sigmoid(f[d]);
      o[d] = sigmoid(o[d]);
      g[d] = std::tanh(g[d]);
      cell.c[d] = f[d] * cell.c_before[d] + i[d] * g[d];
      cell.h[d] = o[d] * std::tanh(cell.c[d]);
    }
  }

  // The slope of f is Caffe's, which is the true one where cont is 0 or 1.
  void step_back(const Cell& cell, const float* dh, float* dc, float* dgate) const override {
    const int n = units();
    for (int d = 0; d < n; ++d) {
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
  }

  void write_output(const float* h, Blob* top) override {
    std::copy_n(h, top->count(), top->mutable_cpu_data());
  }
  void read_output_gradient(const float* /*h*/, const Blob& top, float* dh) override {
    std::copy_n(top.cpu_diff(), top.count(), dh);
  }

 private:
  static float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }
};

REGISTER_LAYER(LSTM, CPU, LSTMLayer);

}  // namespace vibnet
