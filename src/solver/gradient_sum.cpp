#include "solver/gradient_sum.h"

#include <algorithm>
#include <cstddef>
#include <map>

#include "math/parallel.h"

namespace vibnet {
namespace {

/// Values that are summed as one: 4 MB.
constexpr std::size_t kBucket = 1 << 20;

void copy(const float* from, std::size_t count, float* to) {
  parallel_for(static_cast<std::int64_t>(count), kParallelGrain,
               [=](std::int64_t begin, std::int64_t end) {
                 std::copy(from + begin, from + end, to + begin);
               });
}

/// The layer at which backward is done with each gradient that layers add to, by its memory.
std::map<const float*, int> last_layers(const Net& net) {
  std::map<const float*, int> last;
  for (int i = static_cast<int>(net.layers().size()) - 1; i >= 0; --i) {
    const Layer& layer = *net.layers()[i];
    for (int b = 0; b < static_cast<int>(layer.blobs().size()); ++b)
      if (layer.learns(b)) last[layer.blobs()[b]->cpu_diff()] = net.pass_of(i);
  }
  return last;
}

}  // namespace

GradientSum::GradientSum(const Net& net, Communicator* ranks) : ranks_(ranks) {
  const std::map<const float*, int> last = last_layers(net);
  std::size_t size = 0;
  for (const Net::Parameter& parameter : net.parameters()) {
    const auto found = last.find(parameter.blob->cpu_diff());
    if (found == last.end()) continue;
    gradients_.push_back({parameter.blob, found->second});
    size += parameter.blob->count();
  }
  std::stable_sort(gradients_.begin(), gradients_.end(),
                   [](const Gradient& a, const Gradient& b) { return a.layer > b.layer; });
  values_.resize(size);
}

void GradientSum::backward(Net* net) {
  auto next = gradients_.begin();
  std::size_t filled = 0;
  std::size_t begun = 0;
  for (int i = static_cast<int>(net->layers().size()) - 1; i >= 0; --i) {
    net->backward_layer(i);
    for (; next != gradients_.end() && next->layer == i; ++next) {
      copy(next->blob->cpu_diff(), next->blob->count(), &values_[filled]);
      filled += next->blob->count();
    }
    for (; filled - begun >= kBucket; begun += kBucket) ranks_->begin_sum(&values_[begun], kBucket);
    ranks_->go_on();
  }
  if (filled > begun) ranks_->begin_sum(&values_[begun], filled - begun);
  ranks_->finish_sums();
  const float* from = values_.data();
  for (const Gradient& gradient : gradients_) {
    copy(from, gradient.blob->count(), gradient.blob->mutable_cpu_diff());
    from += gradient.blob->count();
  }
}

}  // namespace vibnet
