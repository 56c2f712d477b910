// What a net says when a GPU's memory does not do; a part of Net.

#include <algorithm>
#include <cstddef>
#include <set>

#include "core/gpu_runtime.h"
#include "net/layer_set_up.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

/// Bytes of some memories, each counted once.
class Bytes {
 public:
  void add(const SyncedMemory& memory) {
    if (!seen_.insert(&memory).second) return;
    all_ += static_cast<double>(memory.bytes());
    if (memory.is_on_gpu()) on_gpu_ += static_cast<double>(memory.bytes());
  }
  double all() const { return all_; }
  double on_gpu() const { return on_gpu_; }

 private:
  std::set<const SyncedMemory*> seen_;
  double all_ = 0;
  double on_gpu_ = 0;
};

/// What is left aside for workspaces, for buffers that are not there yet, and the gaps in between.
constexpr double kUsable = 0.8;

/// What is there beside blobs and parameters, by the blobs' bytes: taken for layers' buffers, which
/// grow with the batch, though a solver's history among them does not. The batch is the smaller for
/// it. Layers that have not run yet have the share of those that have, 1 at most.
double share_of_buffers(const Bytes& blobs, const Bytes& parameters) {
  const double others =
      static_cast<double>(memory_usage().on_gpus) - blobs.on_gpu() - parameters.on_gpu();
  return std::clamp(others / std::max(1.0, blobs.on_gpu()), 0.0, 1.0);
}

}  // namespace

/// Blobs grow with the batch, and so do the buffers of their layers; parameters do not. What is
/// free, and what blobs and buffers hold already, is for those that are still missing.
void Net::explain(const GpuOutOfMemory& error, int layer) const {
  const bool trains = context_.phase == TRAIN;
  Bytes blobs;
  Bytes parameters;
  for (std::size_t i = 0; i < layers_.size(); ++i)
    for (const Blob* top : tops_[i]) {
      blobs.add(top->data_memory());
      if (trains && layer_needs_backward_[i]) blobs.add(top->diff_memory());
    }
  for (const Parameter& parameter : parameters_) {
    parameters.add(parameter.blob->data_memory());
    if (trains) parameters.add(parameter.blob->diff_memory());
  }
  const Blob* first = tops_[0].empty() ? nullptr : tops_[0][0];
  // The whole one, of which this is a rank's share.
  const int ranks = context_.ranks->size();
  const int batch = first == nullptr || first->axes() == 0 ? 0 : ranks * first->shape(0);
  const double missing = parameters.all() - parameters.on_gpu();
  const double with_buffers = 1 + share_of_buffers(blobs, parameters);
  const double held = with_buffers * blobs.on_gpu();
  const double room = kUsable * (static_cast<double>(error.free()) + held - missing);
  const double needed = with_buffers * blobs.all();
  const int share = needed > 0 ? static_cast<int>(batch / ranks * room / needed) : 0;
  const int fits = ranks * share;
  if (fits < 1 || fits >= batch) fail(title(layers_[layer]->parameter()), ": ", error.what());
  fail(title(layers_[layer]->parameter()), ": ", error.what(), "; the batch is ", batch,
       ", and one of ", fits, " would fit");
}

}  // namespace vibnet
