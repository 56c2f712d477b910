#include "solver/gradient_sum.h"

#include <algorithm>
#include <cstddef>
#include <map>

#include "core/gpu_runtime.h"
#include "math/parallel.h"

namespace vibnet {
namespace {

/// Values that are summed as one: 4 MB.
constexpr std::size_t kBucket = 1 << 20;

void copy_on_host(float* to, const float* from, int count) {
  parallel_for(count, kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
    std::copy(from + begin, from + end, to + begin);
  });
}

/// The layer at which backward is done with each gradient that layers add to, by its memory.
std::map<const SyncedMemory*, int> last_layers(const Net& net) {
  std::map<const SyncedMemory*, int> last;
  for (int i = static_cast<int>(net.layers().size()) - 1; i >= 0; --i) {
    const Layer& layer = *net.layers()[i];
    for (int b = 0; b < static_cast<int>(layer.blobs().size()); ++b)
      if (layer.learns(b)) last[&layer.blobs()[b]->diff_memory()] = net.pass_of(i);
  }
  return last;
}

}  // namespace

GradientSum::GradientSum(const Net& net, Communicator* ranks) : ranks_(ranks) {
  const std::map<const SyncedMemory*, int> last = last_layers(net);
  std::size_t size = 0;
  for (const Net::Parameter& parameter : net.parameters()) {
    const auto found = last.find(&parameter.blob->diff_memory());
    if (found == last.end()) continue;
    gradients_.push_back({parameter.blob, found->second});
    size += parameter.blob->count();
  }
  std::stable_sort(gradients_.begin(), gradients_.end(),
                   [](const Gradient& a, const Gradient& b) { return a.layer > b.layer; });
  values_ = std::make_unique<SyncedMemory>(size * sizeof(float));
}

float* GradientSum::values() {
  return static_cast<float*>(ranks_->sums_on_gpu() ? values_->mutable_gpu_data()
                                                   : values_->mutable_cpu_data());
}

void GradientSum::gather(const Blob& blob, float* values) const {
  if (ranks_->sums_on_gpu())
    gpu_runtime()->copy_on_device(values, blob.gpu_diff(), blob.count() * sizeof(float));
  else
    copy_on_host(values, blob.cpu_diff(), blob.count());
}

void GradientSum::spread(const float* values, Blob* blob) const {
  if (ranks_->sums_on_gpu())
    gpu_runtime()->copy_on_device(blob->mutable_gpu_diff(), values, blob->count() * sizeof(float));
  else
    copy_on_host(blob->mutable_cpu_diff(), values, blob->count());
}

void GradientSum::backward(Net* net) {
  float* const values = this->values();
  auto next = gradients_.begin();
  std::size_t filled = 0;
  std::size_t begun = 0;
  for (int i = static_cast<int>(net->layers().size()) - 1; i >= 0; --i) {
    net->backward_layer(i);
    for (; next != gradients_.end() && next->layer == i; ++next) {
      gather(*next->blob, values + filled);
      filled += next->blob->count();
    }
    for (; filled - begun >= kBucket; begun += kBucket) ranks_->begin_sum(values + begun, kBucket);
    ranks_->go_on();
  }
  if (filled > begun) ranks_->begin_sum(values + begun, filled - begun);
  ranks_->finish_sums();
  const float* from = values;
  for (const Gradient& gradient : gradients_) {
    spread(from, gradient.blob);
    from += gradient.blob->count();
  }
}

}  // namespace vibnet
