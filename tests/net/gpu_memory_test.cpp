#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "core/gpu_runtime.h"
#include "core/memory_uses.h"
#include "support/error_of.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"
#include "vibnet/synced_memory.h"

namespace vibnet {
namespace {

/// A hundred blobs of 2 GB each are more than any GPU holds.
TEST(GpuMemory, WhatDoesNotFitNamesTheLayerAndABatchThatWould) {
  if (gpu_count() == 0) GTEST_SKIP() << "no GPU here";
  std::string text =
      "layer { name: 'in' type: 'Input' top: 'x0' input_param { shape { dim: 1000 "
      "dim: 500000 } } }";
  for (int i = 0; i < 100; ++i)
    text += "layer { name: 'relu" + std::to_string(i) + "' type: 'ReLU' bottom: 'x" +
            std::to_string(i) + "' top: 'x" + std::to_string(i + 1) + "' }";
  NetParameter parameter;
  parse_prototxt(text, "net", &parameter);
  NetOptions options;
  options.device = {DeviceType::GPU, 0};
  Net net(parameter, options);
  const std::string error = error_of([&] { net.forward(); });
  EXPECT_THAT(error, testing::ContainsRegex(
                         "^layer 'relu[0-9]+' \\(ReLU\\): the GPU is out of memory: 2000000000 "
                         "bytes were asked for and [0-9]+ of [0-9]+ are free; the batch is 1000, "
                         "and one of [0-9]+ would fit$"));
}

TEST(GpuMemory, OfNoBytesHasAPlace) {
  if (gpu_count() == 0) GTEST_SKIP() << "no GPU here";
  use_device({DeviceType::GPU, 0});
  SyncedMemory none(0);
  const void* place = none.mutable_gpu_data();
  EXPECT_NE(place, nullptr);
  EXPECT_EQ(none.cpu_data(), none.cpu_data());
  none.clear();
  EXPECT_EQ(none.gpu_data(), place);
  EXPECT_EQ(error_of([] { gpu_runtime()->synchronize(); }), "");
}

/// As where a recording fails: the zeros that were recorded have not been written.
TEST(GpuMemory, IsClearAgainWhereItsUseIsUndone) {
  if (gpu_count() == 0) GTEST_SKIP() << "no GPU here";
  use_device({DeviceType::GPU, 0});
  SyncedMemory cleared(8);
  SyncedMemory kept(8);
  cleared.gpu_data();
  kept.gpu_data();
  cleared.clear();
  auto gone = std::make_unique<SyncedMemory>(8);
  MemoryUses uses;
  uses.record([&] {
    gone->gpu_data();
    cleared.mutable_gpu_data();
    kept.mutable_gpu_data();
    gone.reset();
  });
  EXPECT_FALSE(cleared.is_clear());
  uses.undo();
  EXPECT_TRUE(cleared.is_clear());
  EXPECT_FALSE(kept.is_clear());
  EXPECT_FALSE(uses.repeat());
}

}  // namespace
}  // namespace vibnet
