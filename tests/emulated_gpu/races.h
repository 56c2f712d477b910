#pragma once

#include <vector>

namespace emulated_gpu {

/// Tells ThreadSanitizer, where a program runs under it, which of a block's threads is at work: it
/// finds what two of them touch, one of them to write, with no barrier in between. What the
/// emulator does itself is the host's. Does nothing elsewhere.
class Races {
 public:
  static bool are_looked_for();

  void begin_block(int threads);
  void end_block();
  void begin_thread(int thread);
  void end_thread();
  void leave_thread();
  void go_on_with(int thread);
  /// Of the thread at work; which barrier, tells its number.
  void come_to_barrier(int number);
  void leave_barrier(int number);

 private:
  void* host_ = nullptr;
  /// ThreadSanitizer's fibers, one for each of a block's threads.
  std::vector<void*> threads_;
  char begin_ = 0;
  char end_ = 0;
  /// Of the barrier, and the one before, which some may not have left.
  char barriers_[2] = {};
};

}  // namespace emulated_gpu
