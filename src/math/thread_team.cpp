#include "math/thread_team.h"

#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <chrono>
#include <utility>

namespace vibnet {
namespace {

using Clock = std::chrono::steady_clock;

/// How long a thread spins: a loop's threads mostly end so close together, and so soon does the
/// next loop begin.
constexpr auto kSpin = std::chrono::microseconds(50);
/// And how long it then lets others have the core that want it, and looks again.
constexpr auto kGiveWay = std::chrono::milliseconds(1);

thread_local bool at_work = false;

/// Of the calling thread; -1 where the system does not say.
int current_core() {
#ifdef __linux__
  return sched_getcpu();
#else
  return -1;
#endif
}

/// How many threads can each have a core.
int cores() {
  static const int count = static_cast<int>(std::thread::hardware_concurrency());
  return count;
}

/// Has the calling thread go on elsewhere, if it may. The system can take milliseconds to see that
/// of two threads which take turns on one core each would be better off alone.
void leave_core(int core) {
#ifdef __linux__
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0 || CPU_COUNT(&allowed) < 2) return;
  cpu_set_t others = allowed;
  CPU_CLR(core, &others);
  sched_setaffinity(0, sizeof(others), &others);
  sched_setaffinity(0, sizeof(allowed), &allowed);
#endif
}

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Signal::wake() {
  if (!is_slept_on_.load()) return;
  { const std::lock_guard<std::mutex> lock(mutex_); }
  changed_.notify_one();
}

void Signal::set(std::uint32_t value) {
  value_.store(value);
  wake();
}

void Signal::take_one() {
  if (value_.fetch_sub(1) == 1) wake();
}

template <typename Wanted, typename Shares>
void Signal::wait_until(const Wanted& is_wanted, const Shares& shares_core) {
  constexpr int kLooks = 64;
  for (int look = 0; look < kLooks; ++look, pause())
    if (is_wanted(value())) return;
  const int core = current_core();
  if (shares_core(core)) leave_core(core);
  const auto begin = Clock::now();
  for (auto now = begin; now - begin < kGiveWay; now = Clock::now()) {
    if (now - begin > kSpin) std::this_thread::yield();
    for (int look = 0; look < kLooks; ++look, pause())
      if (is_wanted(value())) return;
  }
  std::unique_lock<std::mutex> lock(mutex_);
  is_slept_on_ = true;
  changed_.wait(lock, [&] { return is_wanted(value_.load()); });
  is_slept_on_ = false;
}

ThreadTeam& ThreadTeam::own() {
  static thread_local ThreadTeam team;
  return team;
}

bool ThreadTeam::is_at_work() { return at_work; }

ThreadTeam::~ThreadTeam() {
  is_ending_ = true;
  for (const auto& helper : helpers_) helper->loops.set(helper->loops.value() + 1);
  for (const auto& helper : helpers_) helper->thread.join();
}

void ThreadTeam::help(Helper* helper, int thread) {
  at_work = true;
  for (std::uint32_t loops = 0;;) {
    helper->loops.wait_until([loops](std::uint32_t value) { return value != loops; },
                             [this](int core) { return threads_ <= cores() && core == core_; });
    ++loops;
    if (is_ending_) return;
    helper->core = current_core();
    body_(argument_, thread);
    at_work_.take_one();
  }
}

void ThreadTeam::run(int threads, Body body, const void* argument) {
  while (static_cast<int>(helpers_.size()) < threads - 1) {
    auto helper = std::make_unique<Helper>();
    const int thread = static_cast<int>(helpers_.size()) + 1;
    helper->thread = std::thread(&ThreadTeam::help, this, helper.get(), thread);
    helpers_.push_back(std::move(helper));
  }
  threads_ = threads;
  core_ = current_core();
  body_ = body;
  argument_ = argument;
  at_work_.set(static_cast<std::uint32_t>(threads - 1));
  for (int t = 1; t < threads; ++t) {
    Signal& loops = helpers_[t - 1]->loops;
    loops.set(loops.value() + 1);
  }
  at_work = true;
  body(argument, 0);
  at_work = false;
  const auto shares_core = [this, threads](int core) {
    return threads <= cores() &&
           std::any_of(helpers_.begin(), helpers_.begin() + threads - 1,
                       [core](const auto& helper) { return helper->core == core; });
  };
  at_work_.wait_until([](std::uint32_t value) { return value == 0; }, shares_core);
}

}  // namespace vibnet
