#include "solver/passes.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "core/cuda.h"
#include "core/gpu_runtime.h"
#include "core/recorded_work.h"
#include "core/step_on_gpu.h"
#include "layers/gate_layer.h"
#include "vibnet/synced_memory.h"

namespace vibnet {
namespace {

constexpr int kWarp = 32;
constexpr int kTerms = kWarp;

/// Parts of the objective: the sum of some values on the device, times a weight.
struct Terms {
  int count = 0;
  const float* values[kTerms] = {};
  int sizes[kTerms] = {};
  double weights[kTerms] = {};
  /// Whether kl_weight is to be taken in.
  bool is_kl[kTerms] = {};
};

/// For the warp's first lane.
__device__ double sum_over_warp(double sum) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    sum += __shfl_down_sync(0xffffffffu, sum, distance);
  return sum;
}

/// A warp for each term. The first terms of an iteration's first pass begin its loss.
__global__ void __launch_bounds__(kTerms* kWarp)
    add_terms(Terms terms, bool are_first, const Step* step, double* loss) {
  __shared__ double sums[kTerms];
  const int term = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  double sum = 0;
  for (int i = lane; i < terms.sizes[term]; i += kWarp) sum += terms.values[term][i];
  sum = sum_over_warp(sum);
  if (lane == 0) sums[term] = sum * terms.weights[term] * (terms.is_kl[term] ? step->kl_weight : 1);
  __syncthreads();
  if (term > 0) return;
  sum = sum_over_warp(lane < terms.count ? sums[lane] : 0);
  const bool begins = are_first && step->pass == 0;
  if (lane == 0) *loss = begins ? sum : *loss + sum;
}

__global__ void set_step(Step now, Step* step) { *step = now; }

std::uint64_t bits_of(double value) {
  std::uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

}  // namespace

class PassesGPU : public Passes {
 public:
  explicit PassesGPU(int average) : Passes(average) {}

  void run(const IterationWork& work, Net* net) override {
    if (net != net_)
      for (auto& recorded : recorded_) recorded = std::make_unique<RecordedWork>();
    net_ = net;
    Context& now = net->context();
    for (now.pass = 0; now.pass < now.passes; ++now.pass) run_pass(work);
    read();
    pending_ = {now.iteration, now.passes, true};
    check_cuda(cudaMemcpyAsync(result_.mutable_cpu_data(), sum_.gpu_data(), sizeof(double),
                               cudaMemcpyDeviceToHost, cudaStreamPerThread),
               "copy of the loss");
    gpu_runtime()->set_mark(&mark_);
  }

 protected:
  void read() override {
    if (!pending_.is_there) return;
    pending_.is_there = false;
    gpu_runtime()->wait_for(mark_.get());
    const double sum = *static_cast<const double*>(result_.cpu_data());
    append(pending_.iteration, sum / pending_.passes);
  }

 private:
  void run_pass(const IterationWork& work) {
    const Context& now = net_->context();
    const bool clears = now.pass == 0;
    const bool updates = now.pass + 1 == now.passes && work.update;
    read_data();
    auto* step = static_cast<Step*>(step_.mutable_gpu_data());
    Step here = StepOnGpu::of(now);
    here.factors = work.factors;
    set_step<<<1, 1>>>(here, step);
    check_launch("set_step");
    const auto pass = [&] {
      const ForStep for_step(step);
      if (clears) work.clear_gradients();
      forward_layers();
      add_losses();
      run_backward(work, net_);
      if (updates) work.update();
    };
    // Several ranks sum through the host, or by NCCL, which wants that all of them record a sum or
    // none (its guide, "Using NCCL with CUDA Graphs"): whether a rank can is each rank's own
    // matter.
    if (now.ranks->size() > 1) return pass();
    std::vector<std::uint64_t> what_for = this->what_for();
    if (updates) what_for.push_back(work.keeps_sides);
    recorded_[2 * clears + updates]->run(what_for, pass);
  }

  struct Pending {
    std::int64_t iteration = 0;
    int passes = 1;
    bool is_there = false;
  };

  /// Has kernels look for the step on the device.
  struct ForStep {
    explicit ForStep(const Step* step) { StepOnGpu::recorded_for() = step; }
    ForStep(const ForStep&) = delete;
    ForStep& operator=(const ForStep&) = delete;
    ~ForStep() { StepOnGpu::recorded_for() = nullptr; }
  };

  /// What the host tells the kernels in a pass: the data that they find, and how gates are pressed.
  std::vector<std::uint64_t> what_for() const {
    std::vector<std::uint64_t> values;
    for (const GateLayer* gate : net_->gates()) values.push_back(bits_of(gate->own_gamma()));
    for (int i = 0; i < layers(); ++i) {
      if (!net_->bottoms(i).empty()) continue;
      for (const Blob* top : net_->tops(i)) {
        values.push_back(reinterpret_cast<std::uintptr_t>(top->gpu_data()));
        values.insert(values.end(), top->shape().begin(), top->shape().end());
      }
    }
    return values;
  }

  int layers() const { return static_cast<int>(net_->layers().size()); }

  /// Runs what has no bottoms. It waits for its data, so it is not recorded.
  void read_data() {
    for (int i = 0; i < layers(); ++i) {
      if (!net_->bottoms(i).empty()) continue;
      net_->forward_layer(i);
      for (const Blob* top : net_->tops(i)) top->gpu_data();
    }
  }

  void forward_layers() {
    for (int i = 0; i < layers(); ++i)
      if (!net_->bottoms(i).empty()) net_->forward_layer(i);
  }

  void add_losses() {
    std::vector<Terms> all(1);
    const auto add = [&](const float* values, int size, double weight, bool is_kl) {
      if (all.back().count == kTerms) all.emplace_back();
      Terms& terms = all.back();
      terms.values[terms.count] = values;
      terms.sizes[terms.count] = size;
      terms.is_kl[terms.count] = is_kl;
      terms.weights[terms.count++] = weight;
    };
    for (const Net::Loss& loss : net_->losses())
      add(loss.blob->gpu_data(), loss.blob->count(), loss.weight, false);
    for (GateLayer* gate : net_->gates()) add(gate->kl_on_gpu(), 1, gate->own_gamma(), true);
    for (const Terms& terms : all) {
      add_terms<<<1, std::max(1, terms.count) * kWarp>>>(
          terms, &terms == all.data(), static_cast<const Step*>(step_.gpu_data()),
          static_cast<double*>(sum_.mutable_gpu_data()));
      check_launch("add_terms");
    }
  }

  Net* net_ = nullptr;
  /// Passes that clear no gradients and do no update, that do an update, that clear, and that do
  /// both.
  std::array<std::unique_ptr<RecordedWork>, 4> recorded_;
  SyncedMemory step_{sizeof(Step)};
  /// Of this iteration's passes so far.
  SyncedMemory sum_{sizeof(double)};
  /// Of the iteration before, on its way to the host.
  SyncedMemory result_{sizeof(double)};
  std::shared_ptr<void> mark_;
  Pending pending_;
};

namespace {

const bool registered = register_gpu_passes(
    [](int average) -> std::unique_ptr<Passes> { return std::make_unique<PassesGPU>(average); });

}  // namespace
}  // namespace vibnet
