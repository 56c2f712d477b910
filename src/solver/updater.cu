#include "solver/updater.h"

#include <cstring>
#include <tuple>
#include <utility>

#include "core/cuda.h"
#include "core/gpu_runtime.h"
#include "core/step_on_gpu.h"
#include "vibnet/synced_memory.h"

namespace vibnet {
namespace {

/// A parameter on the device. It is cut into blocks of kBlock values; those of all parameters count
/// on from one to the next.
struct Entry {
  float* data;
  float* gradient;
  float* h;
  float* s;
  int count;
  int first_block;
  float lr_mult;
  float decay;
  float l1_decay;

  /// Member by member: what lies in the gap behind the last of them is anything.
  bool operator==(const Entry& other) const {
    const auto all = [](const Entry& e) {
      return std::tie(e.data, e.gradient, e.h, e.s, e.count, e.first_block, e.lr_mult, e.decay,
                      e.l1_decay);
    };
    return all(*this) == all(other);
  }
};

struct Entries {
  const Entry* all;
  int count;

  /// The last one that begins at the block or before.
  __device__ const Entry& of(int block) const {
    int low = 0;
    int high = count - 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (all[middle].first_block <= block)
        low = middle;
      else
        high = middle - 1;
    }
    return all[low];
  }
};

constexpr int kPerThread = 8;
constexpr int kBlock = kThreadsPerBlock * kPerThread;

/// Calls body(entry, i) for the values of this block.
template <typename Body>
__device__ void each_value(const Entries& entries, const Body& body) {
  const Entry entry = entries.of(blockIdx.x);  // by value: stores cannot change it
  const int begin = (blockIdx.x - entry.first_block) * kBlock;
  const int end = min(begin + kBlock, entry.count);
  for (int i = begin + threadIdx.x; i < end; i += kThreadsPerBlock) body(entry, i);
}

__global__ void clear_gradients(Entries entries) {
  each_value(entries, [](const Entry& entry, int i) { entry.gradient[i] = 0; });
}

/// The sum of a value of each of the block's kThreadsPerBlock threads, for the first of them; in
/// the same order in every run.
__device__ double sum_over_block(double value) {
  __shared__ double parts[kThreadsPerBlock];
  parts[threadIdx.x] = value;
  for (int half = kThreadsPerBlock / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  return threadIdx.x == 0 ? parts[0] : 0;
}

__global__ void sum_squares(Entries entries, double* sums) {
  double sum = 0;
  each_value(entries, [&](const Entry& entry, int i) {
    sum += double(entry.gradient[i]) * entry.gradient[i];
  });
  sum = sum_over_block(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// One block: what the gradients are to be multiplied by so that their norm is at most `clip`.
__global__ void find_scale(int count, const double* sums, double clip, float* scale) {
  double sum = 0;
  for (int i = threadIdx.x; i < count; i += kThreadsPerBlock) sum += sums[i];
  sum = sum_over_block(sum);
  if (threadIdx.x != 0) return;
  const double norm = sqrt(sum);
  *scale = norm > clip ? static_cast<float>(clip / norm) : 1;
}

/// What an update does beside its rule.
struct Frame {
  UpdateFactors factors;
  /// Where those are that it is recorded for, or null.
  const Step* recorded_for;
  /// Null where gradients are not clipped.
  const float* clip_scale;
  float pass_scale;
  bool decays_signs;
  bool decouples_decay;
};

template <typename Rule>
__global__ void update(Entries entries, Frame frame, Rule rule) {
  const Entry own = entries.of(blockIdx.x);
  if (own.lr_mult == 0) return;
  const UpdateFactors now =
      frame.recorded_for != nullptr ? frame.recorded_for->factors : frame.factors;
  const float rate = static_cast<float>(now.rate * own.lr_mult);
  float l1 = own.l1_decay * now.kl_weight;
  float l2 = 0;
  if (!frame.decouples_decay) (frame.decays_signs ? l1 : l2) += own.decay;
  const float shrink = frame.decouples_decay ? rate * own.decay : 0;
  const float scale = frame.clip_scale == nullptr ? 1 : *frame.clip_scale;
  const Rule step = rule.with(now, rate);
  each_value(entries, [&](const Entry& entry, int i) {
    float value = entry.data[i];
    float gradient = entry.gradient[i] * scale * frame.pass_scale;
    gradient += l1 * float((value > 0) - (value < 0)) + l2 * value;
    value -= shrink * value;
    float none = 0;
    value -= step.step(gradient, entry.h[i], Rule::kHistory == 2 ? entry.s[i] : none);
    entry.data[i] = value;
  });
}

}  // namespace

/// All parameters in one launch; whatever number the clipping takes stays on the device.
class UpdaterGPU : public Updater {
 public:
  using Updater::Updater;

  void clear_gradients() override {
    if (blocks() == 0) return;  // a net without parameters
    vibnet::clear_gradients<<<blocks(), kThreadsPerBlock>>>(entries());
    check_launch("clear_gradients");
  }

  void update(const UpdateFactors& factors) override {
    if (blocks() == 0) return;
    const Frame frame{factors,
                      StepOnGpu::recorded_for(),
                      settings_.clip < 0 ? nullptr : clip_scale(),
                      1 / static_cast<float>(settings_.passes),
                      settings_.decays_signs,
                      rule_.decouples_decay()};
    const Entries all = entries();
    std::visit(
        [&](const auto& rule) { vibnet::update<<<blocks(), kThreadsPerBlock>>>(all, frame, rule); },
        rule_.steps());
    check_launch("update");
  }

 private:
  /// The table on the device, written anew where a blob's memory is another.
  Entries entries() {
    std::vector<Entry> now;
    int first_block = 0;
    for (const UpdatedParameter& parameter : parameters_) {
      now.push_back(entry_of(parameter, first_block));
      first_block += (parameter.blob->count() + kBlock - 1) / kBlock;
    }
    blocks_ = first_block;
    if (table_ == nullptr || !(now == host_)) {
      const std::size_t bytes = now.size() * sizeof(Entry);
      table_ = std::make_unique<SyncedMemory>(bytes);
      std::memcpy(table_->mutable_cpu_data(), now.data(), bytes);
      host_ = std::move(now);
    }
    return {static_cast<const Entry*>(table_->gpu_data()), static_cast<int>(host_.size())};
  }

  static Entry entry_of(const UpdatedParameter& parameter, int first_block) try {
    const auto history = [&](std::size_t h) {
      return h < parameter.history.size() ? parameter.history[h]->mutable_gpu_data() : nullptr;
    };
    return {parameter.blob->mutable_gpu_data(),
            parameter.blob->mutable_gpu_diff(),
            history(0),
            history(1),
            parameter.blob->count(),
            first_block,
            parameter.lr_mult,
            parameter.decay,
            parameter.l1_decay};
  } catch (const GpuOutOfMemory& error) {
    fail("parameter ", parameter.name, ", its gradient and history: ", error.what());
  }

  int blocks() {
    if (blocks_ == 0) entries();
    return blocks_;
  }

  const float* clip_scale() {
    const Entries all = entries();
    if (sums_ == nullptr) {
      sums_ = std::make_unique<SyncedMemory>(blocks_ * sizeof(double));
      scale_ = std::make_unique<SyncedMemory>(sizeof(float));
    }
    auto* sums = static_cast<double*>(sums_->mutable_gpu_data());
    auto* scale = static_cast<float*>(scale_->mutable_gpu_data());
    sum_squares<<<blocks_, kThreadsPerBlock>>>(all, sums);
    check_launch("sum_squares");
    find_scale<<<1, kThreadsPerBlock>>>(blocks_, sums, settings_.clip, scale);
    check_launch("find_scale");
    return scale;
  }

  std::vector<Entry> host_;
  std::unique_ptr<SyncedMemory> table_;
  int blocks_ = 0;
  /// Of squares, one a block; and what the gradients are multiplied by.
  std::unique_ptr<SyncedMemory> sums_;
  std::unique_ptr<SyncedMemory> scale_;
};

namespace {

const bool registered =
    register_gpu_updater([](const UpdateRule& rule, std::vector<UpdatedParameter> parameters,
                            const UpdateSettings& settings) -> std::unique_ptr<Updater> {
      return std::make_unique<UpdaterGPU>(rule, std::move(parameters), settings);
    });

}  // namespace
}  // namespace vibnet
