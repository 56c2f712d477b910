#pragma once

#include <cstdint>
#include <memory>

#include "vibnet/blob.h"
#include "vibnet/synced_memory.h"

namespace vibnet {

/// What a layer has made of weights that do not change, made anew where they have changed after
/// all.
class PreparedWeights {
 public:
  void forget() { prepared_.reset(); }

  /// `size` floats, written by prepare(weights, to).
  template <typename Prepare>
  const float* of(const Blob& weights, std::size_t size, const Prepare& prepare) {
    if (prepared_ == nullptr || prepared_of_ != weights.data_stamp()) {
      prepared_ = std::make_unique<SyncedMemory>(size * sizeof(float));
      prepare(weights.cpu_data(), static_cast<float*>(prepared_->mutable_cpu_data()));
      prepared_of_ = weights.data_stamp();
    }
    return static_cast<const float*>(prepared_->cpu_data());
  }

 private:
  std::unique_ptr<SyncedMemory> prepared_;
  std::uint64_t prepared_of_ = 0;
};

}  // namespace vibnet
