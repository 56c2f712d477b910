#include "layers/lstm_layer.h"

#include <algorithm>

#include "vibnet/registry.h"

namespace vibnet {

void LSTMLayer::step(const Cell& cell) const {
  for (int d = 0; d < units(); ++d) LSTMCell::step(cell, units(), d);
}

void LSTMLayer::step_back(const Cell& cell, const float* dh, float* dc, float* dgate) const {
  for (int d = 0; d < units(); ++d) LSTMCell::step_back(cell, units(), d, dh, dc, dgate);
}

void LSTMLayer::write_output(const float* h, Blob* top) {
  std::copy_n(h, top->count(), top->mutable_cpu_data());
}

void LSTMLayer::read_output_gradient(const float* /*h*/, const Blob& top, float* dh) {
  std::copy_n(top.cpu_diff(), top.count(), dh);
}

REGISTER_LAYER(LSTM, CPU, LSTMLayer);

}  // namespace vibnet
