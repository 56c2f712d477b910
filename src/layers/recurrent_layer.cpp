#include "layers/recurrent_layer.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "math/gemm.h"
#include "math/parallel.h"

namespace vibnet {

void RecurrentLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  const RecurrentParameter& parameter = parameter_.recurrent_param();
  if (parameter.num_output() == 0) fail("num_output is missing or 0");
  units_ = size_of("num_output", parameter.num_output());
  has_static_ = bottom.size() > 2u + exposed();
  if (bottom[0]->axes() < 3)
    fail("x is ", to_string(bottom[0]->shape()), "; it needs steps, streams and values");
  steps_ = bottom[0]->shape(0);
  if (steps_ == 0) fail("x has no time step");
  inputs_ = bottom[0]->count(2);
  add_blob({gate_values(), inputs_}, &parameter.weight_filler());
  add_blob({gate_values()}, &parameter.bias_filler());
  if (has_static_) {
    if (bottom[2]->axes() < 2)
      fail("x_static is ", to_string(bottom[2]->shape()), "; it needs streams and values");
    static_inputs_ = bottom[2]->count(1);
    add_blob({gate_values(), static_inputs_}, &parameter.weight_filler());
  }
  add_blob({gate_values(), units_}, &parameter.weight_filler());
}

void RecurrentLayer::check_shapes(const Blobs& bottom) const {
  const Blob& x = *bottom[0];
  if (x.axes() < 3 || x.shape(0) != steps_ || x.count(2) != inputs_)
    fail("was made for ", steps_, " steps of ", inputs_, " values, and x is ",
         to_string(x.shape()));
  const Shape steps = {steps_, x.shape(1)};
  if (bottom[1]->shape() != steps)
    fail("cont is ", to_string(bottom[1]->shape()), ", and x has steps x streams of ",
         to_string(steps));
  if (has_static_ && (bottom[2]->axes() < 2 || bottom[2]->shape(0) != x.shape(1) ||
                      bottom[2]->count(1) != static_inputs_))
    fail("x_static is ", to_string(bottom[2]->shape()), ", and x has ", x.shape(1),
         " streams, and W_x_static ", static_inputs_, " inputs");
  const Shape state = {1, x.shape(1), units_};
  for (std::size_t i = after_static(); i < bottom.size(); ++i)
    if (bottom[i]->shape() != state)
      fail("bottom ", i, ", a state, is ", to_string(bottom[i]->shape()), ", and must be ",
           to_string(state));
}

void RecurrentLayer::reshape(const Blobs& bottom, const Blobs& top) {
  check_shapes(bottom);
  streams_ = bottom[0]->shape(1);
  const Shape all_states = {steps_ + 1, streams_, units_};
  for (int i = 0; i < states(); ++i) {
    if (states_[i].shape() == all_states) continue;
    states_[i].reshape(all_states);
    states_[i].set_data(0);
  }
  const Shape outputs = {steps_, streams_, units_};
  gates_.reshape({steps_, streams_, gate_values()});
  continued_.reshape(outputs);
  h_diff_.reshape(outputs);
  static_gates_.reshape({streams_, gate_values()});
  c_diff_.reshape({streams_, units_});
  top[0]->reshape(outputs);
  for (std::size_t i = 1; i < top.size(); ++i) top[i]->reshape({1, streams_, units_});
}

/// Says so where a run was taken up in the midst of a sequence.
void RecurrentLayer::warn_of_lost_state(const Blob& cont) {
  const bool is_first = !has_run_;
  has_run_ = true;
  if (!is_first || exposed() > 0 || context_.batch() == 0) return;
  const bool goes_on = std::any_of(cont.cpu_data(), cont.cpu_data() + streams_,
                                   [](float value) { return value != 0; });
  LOG_IF(WARNING, goes_on) << "layer '" << name() << "' (" << type()
                           << ") starts from zeros at batch " << context_.batch()
                           << ", where cont goes on: no snapshot holds its state, as in Caffe";
}

void RecurrentLayer::read_states(const Blobs& bottom) {
  const std::int64_t count = std::int64_t{streams_} * units_;
  for (int i = 0; i < states(); ++i) {
    float* data = states_[i].mutable_cpu_data();
    const float* from =
        exposed() > 0 ? bottom[after_static() + i]->cpu_data() : data + steps_ * count;
    std::copy_n(from, count, data);
  }
}

/// The gates' inputs but for what h adds: W_x x + b + W_x_static x_static.
void RecurrentLayer::transform_input(const Blobs& bottom) {
  const int values = gate_values();
  float* constant = static_gates_.mutable_cpu_data();
  const float* bias = blobs_[1]->cpu_data();
  for (int n = 0; n < streams_; ++n) std::copy_n(bias, values, constant + 1LL * n * values);
  if (has_static_)
    gemm(Transpose::NO, Transpose::YES, streams_, values, static_inputs_, bottom[2]->cpu_data(),
         blobs_[2]->cpu_data(), true, constant);
  float* gates = gates_.mutable_cpu_data();
  for (int t = 0; t < steps_; ++t)
    std::copy_n(constant, static_gates_.count(), gates + 1LL * t * static_gates_.count());
  gemm(Transpose::NO, Transpose::YES, rows(), values, inputs_, bottom[0]->cpu_data(),
       blobs_[0]->cpu_data(), true, gates);
}

/// Calls body(stream, cell) for every stream at this step.
template <typename Body>
void RecurrentLayer::for_each_stream(int step, const float* cont, const Body& body) {
  const std::int64_t count = std::int64_t{streams_} * units_;
  float* c = states() > 1 ? states_[1].mutable_cpu_data() + (step + 1) * count : nullptr;
  const RecurrentStep streams = {cont + 1LL * step * streams_,
                                 gates_.mutable_cpu_data() + 1LL * step * streams_ * gate_values(),
                                 states_[0].mutable_cpu_data() + (step + 1) * count,
                                 c == nullptr ? nullptr : c - count,
                                 c,
                                 units_,
                                 gate_values()};
  parallel_for(streams_, grain_of(gate_values()), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) body(n, streams.cell(static_cast<int>(n)));
  });
}

void RecurrentLayer::run_steps(const float* cont) {
  const std::int64_t count = std::int64_t{streams_} * units_;
  const float* h = states_[0].cpu_data();
  for (int t = 0; t < steps_; ++t) {
    float* continued = continued_.mutable_cpu_data() + t * count;
    for (std::int64_t i = 0; i < count; ++i)
      continued[i] = cont[1LL * t * streams_ + i / units_] * h[t * count + i];
    gemm(Transpose::NO, Transpose::YES, streams_, gate_values(), units_, continued,
         recurrent_weights().cpu_data(), true,
         gates_.mutable_cpu_data() + 1LL * t * streams_ * gate_values());
    for_each_stream(t, cont, [this](std::int64_t, const Cell& cell) { step(cell); });
  }
}

void RecurrentLayer::forward(const Blobs& bottom, const Blobs& top) {
  warn_of_lost_state(*bottom[1]);
  read_states(bottom);
  transform_input(bottom);
  run_steps(bottom[1]->cpu_data());
  const std::int64_t count = std::int64_t{streams_} * units_;
  write_output(states_[0].cpu_data() + count, top[0]);
  for (std::size_t i = 1; i < top.size(); ++i)
    std::copy_n(states_[i - 1].cpu_data() + steps_ * count, count, top[i]->mutable_cpu_data());
  if (parameter_.recurrent_param().debug_info()) log_states();
}

void RecurrentLayer::log_states() const {
  const std::int64_t count = std::int64_t{streams_} * units_;
  for (int t = 0; t < steps_; ++t) {
    const float* h = states_[0].cpu_data() + (t + 1) * count;
    const double sum = std::accumulate(h, h + count, 0.0,
                                       [](double a, float value) { return a + std::fabs(value); });
    LOG(INFO) << "    [Forward] Layer " << name() << ", h after step " << t + 1
              << " data: " << (count == 0 ? 0 : sum / count);
  }
}

/// Leaves the gates' gradients in gates_'s diff. `dh`: the gradient of all h by the output; that by
/// the next step is added on the way.
void RecurrentLayer::run_steps_back(const float* cont, float* dh) {
  const std::int64_t count = std::int64_t{streams_} * units_;
  float* dgates = gates_.mutable_cpu_diff();
  c_diff_.set_data(0);
  float* dc = c_diff_.mutable_cpu_data();
  for (int t = steps_ - 1; t >= 0; --t) {
    float* dgates_now = dgates + 1LL * t * streams_ * gate_values();
    for_each_stream(t, cont, [&](std::int64_t n, const Cell& cell) {
      step_back(cell, dh + t * count + n * units_, dc + n * units_, dgates_now + n * gate_values());
    });
    if (t == 0) break;
    float* dcontinued = continued_.mutable_cpu_diff();
    gemm(Transpose::NO, Transpose::NO, streams_, units_, gate_values(), dgates_now,
         recurrent_weights().cpu_data(), false, dcontinued);
    for (std::int64_t i = 0; i < count; ++i)
      dh[(t - 1) * count + i] += cont[1LL * t * streams_ + i / units_] * dcontinued[i];
  }
}

void RecurrentLayer::add_weight_gradients(const Blobs& bottom) {
  const int values = gate_values();
  const float* dgates = gates_.cpu_diff();
  const auto add = [&](int index, int rows, int inputs, const float* gradient, const float* x) {
    if (!learns(index)) return;
    const DiffSum dw = blobs_[index]->cpu_diff_sum();
    gemm(Transpose::YES, Transpose::NO, values, inputs, rows, gradient, x, dw.adds, dw.values);
  };
  add(0, rows(), inputs_, dgates, bottom[0]->cpu_data());
  add(after_static(), rows(), units_, dgates, continued_.cpu_data());
  float* sum = static_gates_.mutable_cpu_diff();
  std::fill_n(sum, static_gates_.count(), 0.0f);
  for (int t = 0; t < steps_; ++t)
    for (int i = 0; i < static_gates_.count(); ++i)
      sum[i] += dgates[1LL * t * static_gates_.count() + i];
  if (has_static_) add(2, streams_, static_inputs_, sum, bottom[2]->cpu_data());
  if (!learns(1)) return;
  float* dbias = blobs_[1]->mutable_cpu_diff();
  for (int i = 0; i < static_gates_.count(); ++i) dbias[i % values] += sum[i];
}

void RecurrentLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                              const Blobs& bottom) {
  const std::int64_t count = std::int64_t{streams_} * units_;
  float* dh = h_diff_.mutable_cpu_data();
  read_output_gradient(states_[0].cpu_data() + count, *top[0], dh);
  run_steps_back(bottom[1]->cpu_data(), dh);
  add_weight_gradients(bottom);
  const auto pass_down = [&](int index, int rows, int inputs, const float* gradient) {
    gemm(Transpose::NO, Transpose::NO, rows, inputs, gate_values(), gradient,
         blobs_[index]->cpu_data(), false, bottom[index]->mutable_cpu_diff());
  };
  if (propagate_down[0]) pass_down(0, rows(), inputs_, gates_.cpu_diff());
  if (has_static_ && propagate_down[2])
    pass_down(2, streams_, static_inputs_, static_gates_.cpu_diff());
}

double RecurrentLayer::flops() const {
  return 2.0 * gate_values() *
         (1.0 * rows() * (inputs_ + units_) + 1.0 * streams_ * static_inputs_);
}

}  // namespace vibnet
