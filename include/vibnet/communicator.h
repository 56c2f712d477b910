#pragma once

#include <cstddef>
#include <string>

#include "vibnet/error.h"

namespace vibnet {

/// What calls throw where another rank of this machine is known to have ended.
class RankHasEnded : public Error {
 public:
  explicit RankHasEnded(int rank)
      : Error("rank " + std::to_string(rank) + " has ended, and so does the run"), rank_(rank) {}
  int rank() const { return rank_; }

 private:
  int rank_;
};

/// The processes ("ranks") that train one net together, each on its share of every batch. This one
/// is a process alone, and what it does is nothing. All ranks call the same in the same order, from
/// one thread. Where another rank has ended, calls throw Error.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  /// From 0 to below size(). The first writes what a run writes.
  virtual int rank() const { return 0; }
  virtual int size() const { return 1; }
  /// Those of them on this machine, and this one's number among them.
  virtual int size_here() const { return 1; }
  virtual int rank_here() const { return 0; }

  /// Replaces the values by their sums over the ranks, the same bits on each.
  virtual void sum(double* /*values*/, std::size_t /*count*/) {}
  /// The same, done when finish_sums() returns. Until then the values must stay untouched.
  virtual void begin_sum(float* /*values*/, std::size_t /*count*/) {}
  /// Lets sums that have begun go on.
  virtual void go_on() {}
  virtual void finish_sums() {}
  /// Whether begin_sum() takes values on the GPU in use, and no others: then it sums beside what
  /// this thread gives the GPU next, and what is given after finish_sums() is behind the sums.
  virtual bool sums_on_gpu() const { return false; }
  /// There, sum() for values on the GPU, by work of this thread's stream: see core/rank_sum.h.
  virtual void sum_on_gpu(double* /*values*/, std::size_t /*count*/) {}
  /// Throws RankHasEnded where another is known to have ended. Any thread may ask.
  virtual void check_others() const {}
  /// Replaces the bytes by the first rank's.
  virtual void broadcast(void* /*bytes*/, std::size_t /*count*/) {}
  /// Returns when all ranks have called it; nothing may be called after it.
  virtual void leave() {}

  bool is_first() const { return rank() == 0; }
};

/// A process that is alone.
Communicator& one_rank();

}  // namespace vibnet
