#include "math/thread_team.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "math/parallel.h"

namespace vibnet {
namespace {

class Threads {
 public:
  explicit Threads(int count) { omp_set_num_threads(count); }
  ~Threads() { omp_set_num_threads(before_); }

 private:
  int before_ = omp_get_max_threads();
};

/// How often each thread of a team was called.
std::vector<int> calls_of(int threads) {
  std::vector<int> calls(static_cast<std::size_t>(threads));
  ThreadTeam::own().run(
      threads,
      [](const void* argument, int thread) {
        ++(*static_cast<std::vector<int>* const*>(argument))->at(static_cast<std::size_t>(thread));
      },
      &static_cast<std::vector<int>* const&>(&calls));
  return calls;
}

TEST(ThreadTeam, CallsEachThreadOnceHoweverManyThereAre) {
  for (const int threads : {1, 2, 7, 3, 40, 2})
    for (int loop = 0; loop < 200; ++loop)
      ASSERT_EQ(calls_of(threads), std::vector<int>(static_cast<std::size_t>(threads), 1));
}

TEST(ThreadTeam, WakesThoseWhoHaveGoneToSleep) {
  for (int loop = 0; loop < 20; ++loop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(loop % 5));
    ASSERT_EQ(calls_of(3), (std::vector<int>{1, 1, 1}));
  }
}

TEST(ThreadTeam, WaitsForAThreadThatTakesLong) {
  std::atomic<int> ended{0};
  const auto body = [&](int thread) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5 * thread));
    ++ended;
  };
  const Threads four(4);
  on_team(body);
  EXPECT_EQ(ended, 4);
}

TEST(ThreadTeam, IsTheCallersOwn) {
  std::atomic<int> sum{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int loop = 0; loop < 100; ++loop)
        for (const int calls : calls_of(3)) sum += calls;
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 4 * 100 * 3);
}

TEST(ParallelFor, VisitsEachIndexOnce) {
  for (const int threads : {1, 2, 3, 16}) {
    const Threads set(threads);
    for (const int n : {0, 1, 2, 3, 7, 8, 9, 100, 1001}) {
      std::vector<int> visits(static_cast<std::size_t>(n));
      parallel_for(n, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) ++visits[static_cast<std::size_t>(i)];
      });
      EXPECT_EQ(visits, std::vector<int>(static_cast<std::size_t>(n), 1)) << threads << " " << n;
    }
  }
}

TEST(ParallelFor, WithinAnotherIsDoneByTheThreadThatCalls) {
  const Threads set(3);
  std::atomic<int> elsewhere{0};
  std::atomic<int> visits{0};
  parallel_jobs(9, [&](int /*job*/, int /*thread*/) {
    const std::thread::id own = std::this_thread::get_id();
    parallel_for(100, 1, [&](std::int64_t begin, std::int64_t end) {
      elsewhere += std::this_thread::get_id() == own ? 0 : 1;
      visits += static_cast<int>(end - begin);
    });
  });
  EXPECT_EQ(visits, 900);
  EXPECT_EQ(elsewhere, 0);
}

}  // namespace
}  // namespace vibnet
