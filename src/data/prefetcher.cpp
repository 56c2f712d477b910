#include "data/prefetcher.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace vibnet {

Prefetcher::Prefetcher(Read read, int depth)
    : read_(std::move(read)), depth_(std::max(1, depth)), thread_([this] { run(); }) {}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stops_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Prefetcher::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stops_ || (!is_idle_ && ready_.size() < depth_); });
    if (stops_) return;
    Item item{next_++, {}, nullptr};
    const std::uint64_t start = start_;
    if (!spare_.empty()) {
      item.batch = std::move(spare_.back());
      spare_.pop_back();
    }
    lock.unlock();
    try {
      read_(item.index, &item.batch);
    } catch (...) {
      item.error = std::current_exception();
    }
    lock.lock();
    if (start != start_) continue;
    is_idle_ = item.error != nullptr;
    ready_.push_back(std::move(item));
    changed_.notify_all();
  }
}

void Prefetcher::take(std::int64_t index, Batch* batch) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (coming_ != index || (is_idle_ && ready_.empty())) {
    ready_.clear();
    next_ = index;
    ++start_;
    is_idle_ = false;
    changed_.notify_all();
  }
  coming_ = index + 1;
  const auto start = std::chrono::steady_clock::now();
  changed_.wait(lock, [this] { return !ready_.empty(); });
  seconds_waited_ +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  Item item = std::move(ready_.front());
  ready_.pop_front();
  if (item.error != nullptr) {
    is_idle_ = true;
    std::rethrow_exception(item.error);
  }
  std::swap(*batch, item.batch);
  spare_.push_back(std::move(item.batch));
  changed_.notify_all();
}

}  // namespace vibnet
