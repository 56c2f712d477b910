#pragma once

#include <cstddef>

namespace vibnet {

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
  /// Those of them on this machine.
  virtual int size_here() const { return 1; }

  /// Replaces the values by their sums over the ranks, the same bits on each.
  virtual void sum(double* /*values*/, std::size_t /*count*/) {}
  /// The same, done when finish_sums() returns. Until then the values must stay untouched.
  virtual void begin_sum(float* /*values*/, std::size_t /*count*/) {}
  /// Lets sums that have begun go on.
  virtual void go_on() {}
  virtual void finish_sums() {}
  /// Replaces the bytes by the first rank's.
  virtual void broadcast(void* /*bytes*/, std::size_t /*count*/) {}
  /// Returns when all ranks have called it; nothing may be called after it.
  virtual void leave() {}

  bool is_first() const { return rank() == 0; }
};

/// A process that is alone.
Communicator& one_rank();

}  // namespace vibnet
