#include "math/thread_team.h"

#include <gtest/gtest.h>
#include <omp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
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

/// Calls body(thread) on so many threads.
template <typename Body>
void run_on(int threads, const Body& body) {
  ThreadTeam::run(
      threads, [](const void* of, int thread) { (*static_cast<const Body*>(of))(thread); }, &body);
}

/// How often each thread of a team was called.
std::vector<int> calls_of(int threads) {
  std::vector<int> calls(static_cast<std::size_t>(threads));
  run_on(threads, [&](int thread) { ++calls[static_cast<std::size_t>(thread)]; });
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
  run_on(4, [&](int thread) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5 * thread));
    ++ended;
  });
  EXPECT_EQ(ended, 4);
}

TEST(ThreadTeam, ThrowsWhatAnyThreadHasThrownOnceAllHaveEnded) {
  for (int thrower = 0; thrower < 3; ++thrower) {
    std::atomic<int> ended{0};
    const auto body = [&](int thread) {
      if (thread == thrower) throw std::runtime_error("of thread " + std::to_string(thread));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      ++ended;
    };
    try {
      run_on(3, body);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(error.what(), "of thread " + std::to_string(thrower));
    }
    EXPECT_EQ(ended, 2);
    EXPECT_FALSE(ThreadTeam::is_in_use());
    EXPECT_EQ(calls_of(3), (std::vector<int>{1, 1, 1}));
  }
}

TEST(ThreadTeam, IsMadeAnewInAForkedChild) {
  ASSERT_EQ(calls_of(3), (std::vector<int>{1, 1, 1}));
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    std::_Exit(calls_of(3) == std::vector<int>{1, 1, 1} ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

/// Where the thread's other objects outlive its team.
TEST(ThreadTeam, IsNotNeededByAThreadThatEnds) {
  static std::atomic<int> visits{0};
  struct Last {
    ~Last() {
      parallel_for(100, 1, [](std::int64_t begin, std::int64_t end) {
        visits += static_cast<int>(end - begin);
      });
    }
  };
  std::thread([] {
    omp_set_num_threads(2);
    static thread_local Last last;
    static_cast<void>(&last);
    parallel_for(100, 1, [](std::int64_t begin, std::int64_t end) {
      visits += static_cast<int>(end - begin);
    });
  }).join();
  EXPECT_EQ(visits, 200);
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

TEST(ParallelFor, WithinAnOpenMpRegionIsDoneByTheThreadThatCalls) {
  std::atomic<int> elsewhere{0};
#pragma omp parallel num_threads(2)
  {
    const std::thread::id own = std::this_thread::get_id();
    parallel_for(100, 1, [&](std::int64_t /*begin*/, std::int64_t /*end*/) {
      elsewhere += std::this_thread::get_id() == own ? 0 : 1;
    });
  }
  EXPECT_EQ(elsewhere, 0);
}

}  // namespace
}  // namespace vibnet
