#pragma once

#include <vector>

#include "vibnet/host_device.h"
#include "vibnet/layer.h"

namespace vibnet {

/// One stream at one step: the gates' inputs, D after D, in `gate`; what the state h, and in cells
/// that have it c, is before and after.
struct RecurrentCell {
  float cont;
  float* gate;
  float* h;
  const float* c_before;
  float* c;
};

/// All streams at one step.
struct RecurrentStep {
  const float* cont;
  float* gates;
  float* h;
  /// Null in cells without c.
  const float* c_before;
  float* c;
  int units;
  int gate_values;

  VIBNET_HOST_DEVICE RecurrentCell cell(int stream) const {
    const int at = stream * units;
    const bool has_c = c != nullptr;
    return {cont[stream], gates + stream * gate_values, h + at, has_c ? c_before + at : nullptr,
            has_c ? c + at : nullptr};
  }
};

/// What RNN and LSTM share: a cell stepped through T time steps of N independent streams, gradients
/// by back-propagation through the T steps (Caffe's Recurrent).
///
/// Bottoms: x, T x N x ...; cont, T x N, by which the state before each step is multiplied, so 0
/// begins a sequence and 1 goes on; x_static, N x ..., seen by every step, if given; with
/// expose_hidden the states before the first step, 1 x N x D each. Tops: the outputs, T x N x D, D
/// being num_output; with expose_hidden the states after the last step. Without it a batch goes on
/// from the state that the last one left. No file holds that state: a resumed run, as Caffe's,
/// starts from zeros, and equals the unbroken one bit for bit only where its first cont is 0; else
/// the log says so. Parameters: W_x, G x K; b, G; W_x_static, G x K_static, if there is x_static;
/// W_h, G x D; G is D times the cell's gates. As in Caffe no gradient leaves the batch: exposed
/// states have none. Errors: num_output: 0, T that changes, shapes that do not fit each other.
class RecurrentLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2 + exposed(), 3 + exposed()}; }
  BlobCount top_count() const override { return {1 + exposed(), 1 + exposed()}; }
  bool has_gradient(int bottom) const override {
    return bottom == 0 || (bottom == 2 && has_static_);
  }
  void set_up(const Blobs& bottom, const Blobs& top) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;
  double flops() const override;

 protected:
  using Cell = RecurrentCell;

  virtual int gates() const = 0;
  /// 1 for h alone, 2 for h and c.
  virtual int states() const = 0;
  /// Computes h and c, and leaves in `gate` what step_back needs.
  virtual void step(const Cell& cell) const = 0;
  /// From the gradients of h and c those of the gates' inputs and, in *dc, of c_before.
  virtual void step_back(const Cell& cell, const float* dh, float* dc, float* dgate) const = 0;
  /// The first top of all h, T x N x D.
  virtual void write_output(const float* h, Blob* top) = 0;
  /// The gradient of all h by the first top's diff; adds to that of the blobs() after W_h.
  virtual void read_output_gradient(const float* h, const Blob& top, float* dh) = 0;

  int units() const { return units_; }
  int rows() const { return steps_ * streams_; }
  int exposed() const { return parameter_.recurrent_param().expose_hidden() ? states() : 0; }
  /// The place after x_static's, of the bottoms as of blobs().
  int after_static() const { return has_static_ ? 3 : 2; }
  int gate_values() const { return gates() * units_; }
  Blob& recurrent_weights() const { return *blobs_[after_static()]; }
  void check_shapes(const Blobs& bottom) const;
  void warn_of_lost_state(const Blob& cont);
  void read_states(const Blobs& bottom);
  void transform_input(const Blobs& bottom);
  void run_steps(const float* cont);
  void run_steps_back(const float* cont, float* dh);
  void add_weight_gradients(const Blobs& bottom);
  void log_states() const;
  template <typename Body>
  void for_each_stream(int step, const float* cont, const Body& body);

  bool has_static_ = false;
  bool has_run_ = false;
  int steps_ = 0;
  int streams_ = 0;
  int units_ = 0;
  int inputs_ = 0;
  int static_inputs_ = 0;
  /// h and c, (T + 1) x N x D; the first is before the batch.
  Blob states_[2];
  /// T x N x G, data and diff; cont * h before each step, T x N x D; the gradient of h.
  Blob gates_;
  Blob continued_;
  Blob h_diff_;
  /// N x G: what x_static adds to each step's gates, and the sum of the gates' gradients.
  Blob static_gates_;
  /// N x D: the gradient of c, on its way back.
  Blob c_diff_;
};

}  // namespace vibnet
