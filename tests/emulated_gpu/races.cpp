#include "races.h"

// From ThreadSanitizer's runtime, where that is loaded.
extern "C" {
[[gnu::weak]] void* __tsan_get_current_fiber();
[[gnu::weak]] void* __tsan_create_fiber(unsigned flags);
[[gnu::weak]] void __tsan_switch_to_fiber(void* fiber, unsigned flags);
[[gnu::weak]] void __tsan_acquire(void* address);
[[gnu::weak]] void __tsan_release(void* address);
}

namespace emulated_gpu {
namespace {

/// To go from one to the other is no reason why what the one did is there for the other.
constexpr unsigned kNoSync = 1;

}  // namespace

bool Races::are_looked_for() { return __tsan_create_fiber != nullptr; }

void Races::begin_block(int threads) {
  if (!are_looked_for()) return;
  host_ = __tsan_get_current_fiber();
  while (static_cast<int>(threads_.size()) < threads) threads_.push_back(__tsan_create_fiber(0));
  __tsan_release(&begin_);
}

void Races::end_block() {
  if (are_looked_for()) __tsan_acquire(&end_);
}

void Races::begin_thread(int thread) {
  if (!are_looked_for()) return;
  go_on_with(thread);
  __tsan_acquire(&begin_);
}

void Races::end_thread() {
  if (!are_looked_for()) return;
  __tsan_release(&end_);
  leave_thread();
}

void Races::leave_thread() {
  if (are_looked_for()) __tsan_switch_to_fiber(host_, kNoSync);
}

void Races::go_on_with(int thread) {
  if (are_looked_for()) __tsan_switch_to_fiber(threads_[thread], kNoSync);
}

void Races::come_to_barrier(int number) {
  if (!are_looked_for()) return;
  __tsan_release(&barriers_[number % 2]);
  leave_thread();
}

void Races::leave_barrier(int number) {
  if (are_looked_for()) __tsan_acquire(&barriers_[number % 2]);
}

}  // namespace emulated_gpu
