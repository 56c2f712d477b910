#include "math/thread_team.h"

#include <omp.h>
#include <pthread.h>
#ifdef __linux__
#include <sched.h>
#endif

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

namespace vibnet {
namespace {

using Clock = std::chrono::steady_clock;

/// How long a thread spins: a loop's threads mostly end so close together, and so soon does the
/// next loop begin.
constexpr auto kSpin = std::chrono::microseconds(50);
/// And how long it then lets others have the core that want it, and looks again.
constexpr auto kGiveWay = std::chrono::milliseconds(1);

thread_local bool is_in_loop = false;

/// A thread's team, while there is one.
struct Own {
  ThreadTeam* team = nullptr;
  ~Own();
};
thread_local bool has_ended = false;
thread_local Own own;

Own::~Own() {
  delete team;
  has_ended = true;
}

/// In a forked child the helpers are not there, so nobody may wait for them.
void leave_team_behind() {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { own.team = nullptr; });
  static_cast<void>(registered);
}

/// Of the calling thread; -1 where the system does not say.
int current_core() {
#ifdef __linux__
  return sched_getcpu();
#else
  return -1;
#endif
}

#ifdef __linux__
/// The calling thread's; or where OpenMP has bound it to one of its places, those of all places.
cpu_set_t allowed_cores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  const int places = omp_get_num_places();
  if (places == 0) sched_getaffinity(0, sizeof(cores), &cores);
  for (int place = 0; place < places; ++place) {
    std::vector<int> ids(static_cast<std::size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, ids.data());
    for (const int id : ids)
      if (id < CPU_SETSIZE) CPU_SET(id, &cores);
  }
  return cores;
}
#endif

int count_cores() {
#ifdef __linux__
  const cpu_set_t cores = allowed_cores();
  return std::max(1, CPU_COUNT(&cores));
#else
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
#endif
}

/// Has the calling thread, which begins, run on all cores that the team may.
void spread_out() {
#ifdef __linux__
  if (omp_get_num_places() == 0) return;
  const cpu_set_t cores = allowed_cores();
  sched_setaffinity(0, sizeof(cores), &cores);
#endif
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
#else
  static_cast<void>(core);
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
void Signal::wait_until(const Wanted& is_wanted, bool may_spin, const Shares& shares_core) {
  constexpr int kLooks = 64;
  const auto looks_well = [&] {
    for (int look = 0; look < kLooks; ++look, pause())
      if (is_wanted(value())) return true;
    return false;
  };
  if (may_spin) {
    if (looks_well()) return;
    const int core = current_core();
    if (shares_core(core)) leave_core(core);
    const auto begin = Clock::now();
    for (auto now = begin; now - begin < kGiveWay; now = Clock::now()) {
      if (now - begin > kSpin) std::this_thread::yield();
      if (looks_well()) return;
    }
  }
  std::unique_lock<std::mutex> lock(mutex_);
  is_slept_on_ = true;
  changed_.wait(lock, [&] { return is_wanted(value_.load()); });
  is_slept_on_ = false;
}

bool ThreadTeam::is_in_use() { return is_in_loop || has_ended; }

void ThreadTeam::run(int threads, Body body, const void* argument) {
  leave_team_behind();
  if (own.team == nullptr) own.team = new ThreadTeam();
  own.team->body_ = body;
  own.team->argument_ = argument;
  own.team->run_loop(threads);
}

ThreadTeam::~ThreadTeam() {
  is_ending_ = true;
  for (const auto& helper : helpers_) helper->loops.set(helper->loops.value() + 1);
  for (const auto& helper : helpers_) helper->thread.join();
}

void ThreadTeam::call_body(int thread) try { body_(argument_, thread); } catch (...) {
  const std::lock_guard<std::mutex> lock(error_mutex_);
  if (error_ == nullptr) error_ = std::current_exception();
}

void ThreadTeam::help(Helper* helper, int thread) {
  spread_out();
  is_in_loop = true;
  for (std::uint32_t loops = 0;; ++loops) {
    helper->loops.wait_until([loops](std::uint32_t value) { return value != loops; }, may_spin_,
                             [this](int core) { return core == core_; });
    if (is_ending_) return;
    helper->core = current_core();
    call_body(thread);
    helpers_at_work_.take_one();
  }
}

/// As many as the system gives.
void ThreadTeam::add_helpers(int wanted) try {
  while (static_cast<int>(helpers_.size()) < wanted) {
    auto helper = std::make_unique<Helper>();
    const int thread = static_cast<int>(helpers_.size()) + 1;
    helpers_.reserve(static_cast<std::size_t>(thread));
    helper->thread = std::thread(&ThreadTeam::help, this, helper.get(), thread);
    helpers_.push_back(std::move(helper));
  }
} catch (const std::system_error&) {
}

void ThreadTeam::run_loop(int threads) {
  if (cores_ == 0) cores_ = count_cores();
  may_spin_ = threads <= cores_;
  add_helpers(threads - 1);
  const int helpers = std::min(threads - 1, static_cast<int>(helpers_.size()));
  core_ = current_core();
  helpers_at_work_.set(static_cast<std::uint32_t>(helpers));
  for (int h = 0; h < helpers; ++h) helpers_[h]->loops.set(helpers_[h]->loops.value() + 1);
  is_in_loop = true;
  call_body(0);
  is_in_loop = false;
  const auto shares_core = [this, helpers](int core) {
    return std::any_of(helpers_.begin(), helpers_.begin() + helpers,
                       [core](const auto& helper) { return helper->core == core; });
  };
  helpers_at_work_.wait_until([](std::uint32_t value) { return value == 0; }, may_spin_,
                              shares_core);
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
}

}  // namespace vibnet
