#pragma once

// For .cu files only.

#include <vector>

#include "layers/recurrent_layer.h"
#include "math/gemm_gpu.h"
#include "math/loops_gpu.h"

namespace vibnet {

/// A RecurrentLayer on the GPU. `CellMath` is the cell, unit by unit: step and step_back.
template <typename Base, typename CellMath>
class RecurrentOnGPU : public Base {
 public:
  using Base::Base;

  void forward(const Blobs& bottom, const Blobs& top) override {
    this->warn_of_lost_state(*bottom[1]);
    const int count = this->streams_ * this->units_;
    read_states_on_gpu(bottom);
    transform_input_on_gpu(bottom);
    for (int t = 0; t < this->steps_; ++t) run_step(t, bottom[1]->gpu_data());
    write_output_on_gpu(this->states_[0].gpu_data() + count, top[0]);
    for (std::size_t i = 1; i < top.size(); ++i)
      copy_gpu(count, this->states_[i - 1].gpu_data() + this->steps_ * count,
               top[i]->mutable_gpu_data());
    if (this->parameter_.recurrent_param().debug_info()) this->log_states();
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    const int count = this->streams_ * this->units_;
    float* dh = this->h_diff_.mutable_gpu_data();
    read_output_gradient_on_gpu(this->states_[0].gpu_data() + count, *top[0], dh);
    zero_gpu(count, this->c_diff_.mutable_gpu_data());
    for (int t = this->steps_ - 1; t >= 0; --t) run_step_back(t, bottom[1]->gpu_data(), dh);
    add_weight_gradients_on_gpu(bottom);
    if (propagate_down[0])
      pass_down(0, this->rows(), this->inputs_, this->gates_.gpu_diff(), bottom);
    if (this->has_static_ && propagate_down[2])
      pass_down(2, this->streams_, this->static_inputs_, this->static_gates_.gpu_diff(), bottom);
  }

  /// As write_output and read_output_gradient, with the device's pointers.
  virtual void write_output_on_gpu(const float* h, Blob* top) = 0;
  virtual void read_output_gradient_on_gpu(const float* h, const Blob& top, float* dh) = 0;

  void read_states_on_gpu(const Blobs& bottom) {
    const int count = this->streams_ * this->units_;
    for (int i = 0; i < this->states(); ++i) {
      float* data = this->states_[i].mutable_gpu_data();
      const float* from = this->exposed() > 0 ? bottom[this->after_static() + i]->gpu_data()
                                              : data + this->steps_ * count;
      copy_gpu(count, from, data);
    }
  }

  void transform_input_on_gpu(const Blobs& bottom) {
    const int values = this->gate_values();
    const int constants = this->static_gates_.count();
    float* constant = this->static_gates_.mutable_gpu_data();
    const float* bias = this->blobs_[1]->gpu_data();
    for_each_gpu(constants, [=] __device__(int i) { constant[i] = bias[i % values]; });
    if (this->has_static_)
      gemm_gpu(Transpose::NO, Transpose::YES, this->streams_, values, this->static_inputs_, 1,
               bottom[2]->gpu_data(), this->blobs_[2]->gpu_data(), 1, constant);
    float* gates = this->gates_.mutable_gpu_data();
    for_each_gpu(this->gates_.count(),
                 [=] __device__(int i) { gates[i] = constant[i % constants]; });
    gemm_gpu(Transpose::NO, Transpose::YES, this->rows(), values, this->inputs_, 1,
             bottom[0]->gpu_data(), this->blobs_[0]->gpu_data(), 1, gates);
  }

  void run_step(int t, const float* cont) {
    const RecurrentStep step = step_at(t, cont);
    const int units = this->units_;
    const int count = this->streams_ * units;
    const float* h_before = step.h - count;
    float* continued = this->continued_.mutable_gpu_data() + t * count;
    for_each_gpu(count,
                 [=] __device__(int i) { continued[i] = step.cont[i / units] * h_before[i]; });
    gemm_gpu(Transpose::NO, Transpose::YES, this->streams_, step.gate_values, units, 1, continued,
             this->recurrent_weights().gpu_data(), 1, step.gates);
    for_each_gpu(count,
                 [=] __device__(int i) { CellMath::step(step.cell(i / units), units, i % units); });
  }

  /// Leaves the gates' gradients in gates_'s diff, and adds those of h before the step to `dh`.
  void run_step_back(int t, const float* cont, float* dh) {
    const RecurrentStep step = step_at(t, cont);
    const int units = this->units_;
    const int count = this->streams_ * units;
    float* dgates = this->gates_.mutable_gpu_diff() + t * this->streams_ * step.gate_values;
    float* dc = this->c_diff_.mutable_gpu_data();
    const float* dh_now = dh + t * count;
    for_each_gpu(count, [=] __device__(int i) {
      const int n = i / units;
      CellMath::step_back(step.cell(n), units, i % units, dh_now + n * units, dc + n * units,
                          dgates + n * step.gate_values);
    });
    if (t == 0) return;
    float* dcontinued = this->continued_.mutable_gpu_diff();
    gemm_gpu(Transpose::NO, Transpose::NO, this->streams_, units, step.gate_values, 1, dgates,
             this->recurrent_weights().gpu_data(), 0, dcontinued);
    float* dh_before = dh + (t - 1) * count;
    for_each_gpu(count,
                 [=] __device__(int i) { dh_before[i] += step.cont[i / units] * dcontinued[i]; });
  }

  void add_weight_gradients_on_gpu(const Blobs& bottom) {
    const int values = this->gate_values();
    const float* dgates = this->gates_.gpu_diff();
    add_products(0, this->rows(), values, this->inputs_, dgates, bottom[0]->gpu_data());
    add_products(this->after_static(), this->rows(), values, this->units_, dgates,
                 this->continued_.gpu_data());
    const int constants = this->static_gates_.count();
    const int steps = this->steps_;
    float* sum = this->static_gates_.mutable_gpu_diff();
    for_each_gpu(constants, [=] __device__(int i) {
      float of_steps = 0;
      for (int t = 0; t < steps; ++t) of_steps += dgates[t * constants + i];
      sum[i] = of_steps;
    });
    if (this->has_static_)
      add_products(2, this->streams_, values, this->static_inputs_, sum, bottom[2]->gpu_data());
    add_column_sums(1, this->streams_, values, sum);
  }

  /// Adds the sums of the columns of `gradient` to the gradient of a bias, if it learns.
  void add_column_sums(int blob, int rows, int columns, const float* gradient) {
    if (!this->learns(blob)) return;
    float* dbias = this->blobs_[blob]->mutable_gpu_diff();
    sum_rows_gpu(
        columns, rows,
        [=] __device__(int column, int row) {
          return Sums{gradient[row * columns + column], 0};
        },
        [=] __device__(int column, const Sums& sums) {
          dbias[column] += static_cast<float>(sums.first);
        });
  }

 protected:
  /// Adds gradient^T x to the gradient of weights, outputs x inputs, if they learn.
  void add_products(int blob, int rows, int outputs, int inputs, const float* gradient,
                    const float* x) {
    if (!this->learns(blob)) return;
    gemm_gpu(Transpose::YES, Transpose::NO, outputs, inputs, rows, 1, gradient, x, 1,
             this->blobs_[blob]->mutable_gpu_diff());
  }

 private:
  RecurrentStep step_at(int t, const float* cont) {
    const int count = this->streams_ * this->units_;
    const int values = this->gate_values();
    float* c = this->states() > 1 ? this->states_[1].mutable_gpu_data() + (t + 1) * count : nullptr;
    return {cont + t * this->streams_,
            this->gates_.mutable_gpu_data() + t * this->streams_ * values,
            this->states_[0].mutable_gpu_data() + (t + 1) * count,
            c == nullptr ? nullptr : c - count,
            c,
            this->units_,
            values};
  }

  /// Writes the gradient of a bottom that stands in front of the weights of the same place.
  void pass_down(int index, int rows, int inputs, const float* gradient, const Blobs& bottom) {
    gemm_gpu(Transpose::NO, Transpose::NO, rows, inputs, this->gate_values(), 1, gradient,
             this->blobs_[index]->gpu_data(), 0, bottom[index]->mutable_gpu_diff());
  }
};

}  // namespace vibnet
