#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "data/raw_batch.h"
#include "vibnet/blob.h"
#include "vibnet/device.h"
#include "vibnet/layer.h"

namespace vibnet {

/// One batch as a data layer hands it on.
struct Batch {
  /// N x C x H x W.
  Blob data;
  /// In place of the data, the records that a GPU makes them of.
  RawBatch raw;
  /// N.
  Blob labels;
  /// Where a GPU is done with reading it.
  std::shared_ptr<void> is_read;

  /// Shapes and fills the tops, which a net on this device reads: the data, and the labels if there
  /// is a second one.
  void copy_to(const Blobs& top, const Device& device);
};

/// Reads batches ahead in a thread of its own, to the device: after batch i is taken, i + 1 and on.
/// Taking another one than the next starts over there.
class Prefetcher {
 public:
  /// Fills a batch by its number; called from the thread.
  using Read = std::function<void(std::int64_t index, Batch* batch)>;

  Prefetcher(Read read, int depth, const Device& device = Device());
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  ~Prefetcher();

  /// Waits for the batch, swaps it into *batch, and reuses what was there. Throws what reading it
  /// threw.
  void take(std::int64_t index, Batch* batch);

  /// Seconds that take() has waited in all.
  double seconds_waited() const { return seconds_waited_; }

 private:
  struct Item {
    std::int64_t index;
    Batch batch;
    std::exception_ptr error;
  };

  void run();
  void read(Item* item);

  Read read_;
  Device device_;
  std::size_t depth_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> ready_;
  std::vector<Batch> spare_;
  /// What is read next, and what take() hands out next: the first runs ahead.
  std::int64_t next_ = 0;
  std::int64_t coming_ = 0;
  /// Grows when take() starts over, so that a batch read for the old place is dropped.
  std::uint64_t start_ = 0;
  bool is_idle_ = true;
  bool stops_ = false;
  double seconds_waited_ = 0;
  std::thread thread_;
};

}  // namespace vibnet
