#pragma once

#include <cstdint>

#include "vibnet.pb.h"
#include "vibnet/communicator.h"
#include "vibnet/device.h"
#include "vibnet/host_device.h"

namespace vibnet {

/// Counts forward passes over a whole run, an iteration being `passes` of them.
VIBNET_HOST_DEVICE inline std::int64_t batch_number(std::int64_t iteration, int passes, int pass) {
  return iteration * passes + pass;
}

/// The number of the first of so many samples that a rank has of a batch.
VIBNET_HOST_DEVICE inline std::int64_t first_sample_number(std::int64_t batch, int ranks, int rank,
                                                           int samples) {
  return (batch * ranks + rank) * samples;
}

/// Where a net stands in its run; the net owns it, its layers read it. Whatever a layer draws or
/// reads next is a function of this alone, so a run can be taken up at any iteration.
struct Context {
  Phase phase = TEST;
  Device device;
  std::uint64_t seed = 0;
  std::int64_t iteration = 0;
  /// Which of the `passes` forward passes of this iteration (iter_size in the solver).
  int pass = 0;
  int passes = 1;
  /// Multiplies the gamma of every gate.
  float kl_weight = 1;
  /// False while a layer is made that will use another net's parameters: it fills none of its own.
  bool fills_parameters = true;
  /// Who shares each batch: a rank has its samples in one piece, in the order of the ranks.
  Communicator* ranks = &one_rank();

  std::int64_t batch() const { return batch_number(iteration, passes, pass); }
  /// This rank's.
  std::int64_t first_sample(std::int64_t batch, int samples) const {
    return first_sample_number(batch, ranks->size(), ranks->rank(), samples);
  }
};

}  // namespace vibnet
