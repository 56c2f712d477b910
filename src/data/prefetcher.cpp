#include "data/prefetcher.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/gpu_runtime.h"

namespace vibnet {

void Batch::copy_to(const Blobs& top, const Device& device) {
  if (raw.is_empty()) {
    top[0]->reshape_like(data);
    top[0]->copy_data(data);
  } else {
    raw.write_to(top[0]);
  }
  if (top.size() > 1) {
    top[1]->reshape_like(labels);
    top[1]->copy_data(labels);
  }
  if (device.type == DeviceType::GPU) gpu_runtime()->set_mark(&is_read);
}

Prefetcher::Prefetcher(Read read, int depth, const Device& device)
    : read_(std::move(read)),
      device_(device),
      depth_(std::max(1, depth)),
      thread_([this] { run(); }) {}

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
      read(&item);
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

void Prefetcher::read(Item* item) {
  use_device(device_);
  Batch& batch = item->batch;
  if (batch.is_read != nullptr) gpu_runtime()->wait_for(batch.is_read.get());
  read_(item->index, &batch);
  if (device_.type == DeviceType::CPU) return;
  if (batch.raw.is_empty()) batch.data.gpu_data();
  batch.labels.gpu_data();
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
