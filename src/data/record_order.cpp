#include "data/record_order.h"

#include <numeric>
#include <utility>

namespace vibnet {

std::int64_t RecordOrder::position_of(std::int64_t sample) {
  if (!shuffles_) return sample % size_;
  const std::int64_t epoch = sample / size_;
  if (epoch != epoch_) {
    order_.resize(size_);
    std::iota(order_.begin(), order_.end(), 0u);
    RandomSequence random(key_, static_cast<std::uint64_t>(epoch));
    for (std::int64_t i = size_ - 1; i > 0; --i)
      std::swap(order_[i], order_[random.below(static_cast<std::uint32_t>(i + 1))]);
    epoch_ = epoch;
  }
  return order_[sample % size_];
}

}  // namespace vibnet
