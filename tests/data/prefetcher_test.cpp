#include "data/prefetcher.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "support/error_of.h"

namespace vibnet {
namespace {

void write_index(std::int64_t index, Batch* batch) {
  batch->labels.reshape({1});
  batch->labels.set_data(static_cast<float>(index));
}

float take(Prefetcher* prefetcher, std::int64_t index) {
  Batch batch;
  prefetcher->take(index, &batch);
  return batch.labels.cpu_data()[0];
}

TEST(Prefetcher, HandsOutWhatIsAskedForWhateverWasReadAhead) {
  Prefetcher prefetcher(write_index, 4);
  for (const std::int64_t index : {0L, 1L, 2L, 7L, 8L, 0L, 1L, 1L, 3L, 100000000000L})
    EXPECT_EQ(take(&prefetcher, index), static_cast<float>(index));
}

TEST(Prefetcher, AJumpPastTheBatchThatIsBeingReadIsNotTakenForIt) {
  Prefetcher prefetcher(
      [](std::int64_t index, Batch* batch) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        write_index(index, batch);
      },
      4);
  for (const std::int64_t index : {0, 2, 4, 5, 3})
    EXPECT_EQ(take(&prefetcher, index), static_cast<float>(index));
}

TEST(Prefetcher, ReadsAheadAsFarAsItMay) {
  std::atomic<int> reads{0};
  Prefetcher prefetcher(
      [&](std::int64_t index, Batch* batch) {
        write_index(index, batch);
        ++reads;
      },
      3);
  take(&prefetcher, 0);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (reads < 4 && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(reads, 4);
}

TEST(Prefetcher, ThrowsWhatReadingThrewWhenThatBatchIsTaken) {
  Prefetcher prefetcher(
      [](std::int64_t index, Batch* batch) {
        if (index == 2) fail("batch 2 is bad");
        write_index(index, batch);
      },
      4);
  EXPECT_EQ(take(&prefetcher, 0), 0);
  EXPECT_EQ(take(&prefetcher, 1), 1);
  for (int again = 0; again < 3; ++again)
    EXPECT_EQ(error_of([&] { take(&prefetcher, 2); }), "batch 2 is bad");
  EXPECT_EQ(take(&prefetcher, 3), 3);
}

TEST(Prefetcher, CountsHowLongItLetsWait) {
  Prefetcher prefetcher(
      [](std::int64_t index, Batch* batch) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        write_index(index, batch);
      },
      1);
  EXPECT_EQ(prefetcher.seconds_waited(), 0);
  for (int i = 0; i < 3; ++i) take(&prefetcher, i);
  EXPECT_GT(prefetcher.seconds_waited(), 0.05);
  const double before = prefetcher.seconds_waited();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  take(&prefetcher, 3);
  EXPECT_LT(prefetcher.seconds_waited(), before + 0.15);
}

TEST(Prefetcher, EndsWhileItReads) {
  for (int run = 0; run < 200; ++run) {
    Prefetcher prefetcher(write_index, 2);
    if (run % 2 == 0) take(&prefetcher, run);
  }
}

}  // namespace
}  // namespace vibnet
