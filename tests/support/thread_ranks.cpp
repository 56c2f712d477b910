#include "support/thread_ranks.h"

#include <omp.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "vibnet/error.h"

namespace vibnet {
namespace {

/// Where the threads meet.
class Meeting {
 public:
  explicit Meeting(int count) : count_(count), places_(count) {}

  /// Waits for all; then calls `combine` with what each has brought, on each thread; and waits for
  /// all again.
  void meet(int rank, void* brought,
            const std::function<void(const std::vector<void*>&)>& combine) {
    places_[rank] = brought;
    wait();
    combine(places_);
    wait();
  }

  /// A thread has ended early: nobody shall wait for it.
  void fail() {
    const std::lock_guard<std::mutex> lock(mutex_);
    has_failed_ = true;
    changed_.notify_all();
  }

 private:
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    const int turn = turn_;
    if (++arrived_ == count_) {
      arrived_ = 0;
      ++turn_;
      changed_.notify_all();
    }
    changed_.wait(lock, [&] { return turn_ != turn || has_failed_; });
    if (turn_ == turn) throw Error("another rank has failed");
  }

  int count_;
  std::vector<void*> places_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  int turn_ = 0;
  bool has_failed_ = false;
};

class ThreadRank : public Communicator {
 public:
  ThreadRank(int rank, int count, Meeting* meeting)
      : rank_(rank), count_(count), meeting_(meeting) {}

  int rank() const override { return rank_; }
  int size() const override { return count_; }
  int size_here() const override { return count_; }
  void sum(double* values, std::size_t count) override { sum_of(values, count); }
  void begin_sum(float* values, std::size_t count) override { sums_.push_back({values, count}); }
  void finish_sums() override {
    for (const auto& [values, count] : sums_) sum_of(values, count);
    sums_.clear();
  }
  void broadcast(void* bytes, std::size_t count) override {
    std::vector<char> first(count);
    meeting_->meet(rank_, bytes, [&](const std::vector<void*>& all) {
      std::memcpy(first.data(), all[0], count);
    });
    std::memcpy(bytes, first.data(), count);
  }

 private:
  template <typename Value>
  void sum_of(Value* values, std::size_t count) {
    std::vector<Value> sums(count);
    meeting_->meet(rank_, values, [&](const std::vector<void*>& all) {
      for (const void* of_rank : all)
        for (std::size_t i = 0; i < count; ++i) sums[i] += static_cast<const Value*>(of_rank)[i];
    });
    std::copy(sums.begin(), sums.end(), values);
  }

  int rank_;
  int count_;
  Meeting* meeting_;
  std::vector<std::pair<float*, std::size_t>> sums_;
};

}  // namespace

void run_ranks(int count, const std::function<void(Communicator*)>& body) {
  Meeting meeting(count);
  std::mutex mutex;
  std::exception_ptr first;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank)
    threads.emplace_back([&, rank] {
      omp_set_num_threads(1);
      ThreadRank ranks(rank, count, &meeting);
      try {
        body(&ranks);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (first == nullptr) first = std::current_exception();
        meeting.fail();
      }
    });
  for (std::thread& thread : threads) thread.join();
  if (first != nullptr) std::rethrow_exception(first);
}

}  // namespace vibnet
