#pragma once

#include <cstdint>
#include <vector>

#include "vibnet/random.h"

namespace vibnet {

/// In what order records are read, epoch after epoch: as they stand, or shuffled anew each epoch.
/// It is a function of the sample's number, so a run can be taken up anywhere.
class RecordOrder {
 public:
  RecordOrder() = default;
  /// `size` is at least 1.
  RecordOrder(std::int64_t size, bool shuffles, RandomKey key)
      : size_(size), shuffles_(shuffles), key_(key) {}

  std::int64_t size() const { return size_; }
  /// The place of a sample's record; samples are counted over the whole run.
  std::int64_t position_of(std::int64_t sample);

 private:
  std::int64_t size_ = 1;
  bool shuffles_ = false;
  RandomKey key_;
  std::vector<std::uint32_t> order_;
  std::int64_t epoch_ = -1;
};

}  // namespace vibnet
