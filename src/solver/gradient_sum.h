#pragma once

#include <memory>
#include <vector>

#include "vibnet/communicator.h"
#include "vibnet/net.h"
#include "vibnet/synced_memory.h"

namespace vibnet {

/// Sums the gradients of a net over the ranks, while its backward still runs: they are put one
/// behind the other as backward comes to them, and each few megabytes of that are on their way
/// while the layers below are at work.
class GradientSum {
 public:
  GradientSum(const Net& net, Communicator* ranks);

  /// The net's backward, behind which each rank has the gradients of the whole batch.
  void backward(Net* net);

 private:
  /// A parameter's gradient, and the layer that is the last to add to it.
  struct Gradient {
    Blob* blob;
    int layer;
  };

  /// Where the ranks sum.
  float* values();
  void gather(const Blob& blob, float* values) const;
  void spread(const float* values, Blob* blob) const;

  Communicator* ranks_;
  /// In backward's order.
  std::vector<Gradient> gradients_;
  std::unique_ptr<SyncedMemory> values_;
};

}  // namespace vibnet
