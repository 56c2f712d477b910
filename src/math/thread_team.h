#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace vibnet {

/// A number that one thread waits for others to change: it spins for a while, so that it goes on
/// within a fraction of a microsecond, gives way to other programs for a while, and then sleeps.
class Signal {
 public:
  std::uint32_t value() const { return value_.load(std::memory_order_acquire); }
  void set(std::uint32_t value);
  /// Counts down. Only 0 is told to who sleeps.
  void take_one();
  /// Returns once is_wanted(value). The thread leaves the core that it waits on for another where
  /// shares_core(core) says that those it waits for are on that one.
  template <typename Wanted, typename Shares>
  void wait_until(const Wanted& is_wanted, const Shares& shares_core);

 private:
  void wake();

  std::atomic<std::uint32_t> value_{0};
  std::atomic<bool> is_slept_on_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
};

/// A thread's helpers with its loops. They stay from one loop to the next. OpenMP's team does the
/// same, but calls the kernel at both ends of each loop, which costs more than many loops here do.
class ThreadTeam {
 public:
  /// Of the thread that calls, and made at its first call.
  static ThreadTeam& own();
  /// Whether the calling thread is at work for a team.
  static bool is_at_work();

  ThreadTeam() = default;
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;
  ~ThreadTeam();

  using Body = void (*)(const void* argument, int thread);
  /// Calls body(argument, thread) once for each thread < threads, the caller's own with 0, and
  /// returns when all have returned.
  void run(int threads, Body body, const void* argument);

 private:
  /// On cache lines of its own, as it waits there.
  struct alignas(64) Helper {
    Signal loops;
    std::thread thread;
    alignas(64) std::atomic<int> core{-1};
  };

  void help(Helper* helper, int thread);

  std::vector<std::unique_ptr<Helper>> helpers_;
  Body body_ = nullptr;
  const void* argument_ = nullptr;
  /// Of the last loop.
  std::atomic<int> threads_{1};
  bool is_ending_ = false;
  /// Where the caller began the last loop.
  std::atomic<int> core_{-1};
  alignas(64) Signal at_work_;
};

}  // namespace vibnet
