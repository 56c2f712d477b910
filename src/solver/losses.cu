#include "solver/losses.h"

#include <algorithm>

#include "core/cuda.h"
#include "core/gpu_runtime.h"
#include "layers/gate_layer.h"
#include "vibnet/synced_memory.h"

namespace vibnet {
namespace {

constexpr int kTerms = 32;

/// Parts of the objective: the sum of some values on the device, times a weight.
struct Terms {
  int count = 0;
  const float* values[kTerms] = {};
  int sizes[kTerms] = {};
  double weights[kTerms] = {};
};

/// A warp, with a lane for each term.
__global__ void add_terms(Terms terms, bool begins, double* loss) {
  const int lane = threadIdx.x;
  double sum = 0;
  if (lane < terms.count)
    for (int i = 0; i < terms.sizes[lane]; ++i) sum += terms.weights[lane] * terms.values[lane][i];
  for (int distance = kTerms / 2; distance > 0; distance /= 2)
    sum += __shfl_down_sync(0xffffffffu, sum, distance);
  if (lane == 0) *loss = begins ? sum : *loss + sum;
}

}  // namespace

class LossesGPU : public Losses {
 public:
  explicit LossesGPU(int average) : Losses(average) {}

  void forward(Net* net) override {
    net->run_forward();
    Terms terms;
    for (const Net::Loss& loss : net->losses())
      add(loss.blob->gpu_data(), loss.blob->count(), loss.weight, &terms);
    for (GateLayer* gate : net->gates()) {
      const float* kl = gate->kl_on_gpu();
      if (kl != nullptr)
        add(kl, 1, gate->gamma(), &terms);
      else
        on_host_ += gate->penalty();
    }
    flush(&terms);
  }

  void end(std::int64_t iteration, int passes) override {
    read();
    const void* sum = begins_ ? nullptr : sum_.gpu_data();
    pending_ = {iteration, passes, on_host_, true};
    on_host_ = 0;
    begins_ = true;
    if (sum == nullptr) return;
    check_cuda(cudaMemcpyAsync(result_.mutable_cpu_data(), sum, sizeof(double),
                               cudaMemcpyDeviceToHost, cudaStreamPerThread),
               "copy of the loss");
    gpu_runtime()->set_mark(&mark_);
  }

 protected:
  void read() override {
    if (!pending_.is_there) return;
    pending_.is_there = false;
    if (mark_ != nullptr) gpu_runtime()->wait_for(mark_.get());
    const double sum = *static_cast<const double*>(result_.cpu_data());
    append(pending_.iteration, (sum + pending_.on_host) / pending_.passes);
  }

 private:
  struct Pending {
    std::int64_t iteration = 0;
    int passes = 1;
    double on_host = 0;
    bool is_there = false;
  };

  void add(const float* values, int size, double weight, Terms* terms) {
    if (terms->count == kTerms) flush(terms);
    terms->values[terms->count] = values;
    terms->sizes[terms->count] = size;
    terms->weights[terms->count] = weight;
    ++terms->count;
  }

  void flush(Terms* terms) {
    if (terms->count == 0) return;
    add_terms<<<1, kTerms>>>(*terms, begins_, static_cast<double*>(sum_.mutable_gpu_data()));
    check_launch("add_terms");
    begins_ = false;
    terms->count = 0;
  }

  /// Of this iteration's passes so far.
  SyncedMemory sum_{sizeof(double)};
  double on_host_ = 0;
  bool begins_ = true;
  /// Of the iteration before, on its way to the host.
  SyncedMemory result_{sizeof(double)};
  std::shared_ptr<void> mark_;
  Pending pending_;
};

namespace {

const bool registered = register_gpu_losses(
    [](int average) -> std::unique_ptr<Losses> { return std::make_unique<LossesGPU>(average); });

}  // namespace
}  // namespace vibnet
