#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace vibnet {

/// A number that one thread waits for others to change. Where it may spin, it does so for a while,
/// so that it goes on within a fraction of a microsecond, then gives way to other programs for a
/// while; and then it sleeps.
class Signal {
 public:
  std::uint32_t value() const { return value_.load(std::memory_order_acquire); }
  void set(std::uint32_t value);
  /// Counts down. Only 0 is told to who sleeps.
  void take_one();
  /// Returns once is_wanted(value). A thread that spins leaves the core that it waits on for
  /// another where shares_core(core) says that those it waits for are on that one.
  template <typename Wanted, typename Shares>
  void wait_until(const Wanted& is_wanted, bool may_spin, const Shares& shares_core);

 private:
  void wake();

  std::atomic<std::uint32_t> value_{0};
  std::atomic<bool> is_slept_on_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
};

/// A thread's helpers with its loops. They stay from one loop to the next. OpenMP's team does the
/// same, but calls the kernel at both ends of each loop, and where another program wants a core its
/// threads wait milliseconds for one that is not running.
class ThreadTeam {
 public:
  using Body = void (*)(const void* argument, int thread);

  /// Calls body(argument, thread) once for each thread < threads, or for fewer where the system
  /// gives no more; the caller's own is 0. Returns when all have returned, and throws the first
  /// exception that any has thrown. Not to be called where is_in_use().
  static void run(int threads, Body body, const void* argument);
  /// Whether the calling thread is in a loop already, or ends and has no team any more.
  static bool is_in_use();

  ThreadTeam() = default;
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;
  ~ThreadTeam();

 private:
  /// On cache lines of its own, as it waits there.
  struct alignas(64) Helper {  // NOLINT(clang-analyzer-optin.performance.Padding)
    Signal loops;
    std::thread thread;
    alignas(64) std::atomic<int> core{-1};
  };

  void run_loop(int threads);
  void help(Helper* helper, int thread);
  void call_body(int thread);
  void add_helpers(int wanted);

  std::vector<std::unique_ptr<Helper>> helpers_;
  /// That the threads may run on.
  int cores_ = 0;
  bool is_ending_ = false;
  // Of the last loop.
  Body body_ = nullptr;
  const void* argument_ = nullptr;
  std::atomic<bool> may_spin_{true};
  /// Where the caller began it.
  std::atomic<int> core_{-1};
  std::mutex error_mutex_;
  std::exception_ptr error_;
  alignas(64) Signal helpers_at_work_;
};

}  // namespace vibnet
