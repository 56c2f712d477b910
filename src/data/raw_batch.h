#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "data/data_transformer.h"
#include "vibnet/blob.h"
#include "vibnet/host_device.h"
#include "vibnet/synced_memory.h"

namespace vibnet {

/// A record among a batch's bytes.
struct RawRecord {
  std::int64_t begin;
  bool is_float;
  int height, width;
  Placement placement;
};

/// A batch as a GPU makes it of its records, a value at a time; DataTransformer makes the same.
struct RawTransform {
  const unsigned char* bytes;
  const RawRecord* records;
  ValueRule rule;
  /// Of a sample.
  int channels, height, width;

  VIBNET_HOST_DEVICE float value(int i) const {
    const int x = i % width;
    const int y = i / width % height;
    const int channel = i / width / height % channels;
    const RawRecord& record = records[i / width / height / channels];
    const Placement& placement = record.placement;
    const int row = placement.top + y;
    const int column = placement.left + (placement.is_mirrored ? width - 1 - x : x);
    const float mean = rule.mean_of_padding(channel);
    if (row < 0 || row >= record.height || column < 0 || column >= record.width)
      return rule.of(0, mean);
    const std::int64_t at = (std::int64_t{channel} * record.height + row) * record.width + column;
    const unsigned char* values = bytes + record.begin;
    const float raw = record.is_float ? reinterpret_cast<const float*>(values)[at]
                                      : static_cast<float>(values[at]);
    return rule.of(raw, rule.kind == ValueRule::OF_VALUE ? rule.means[at] : mean);
  }
};

/// A batch's records as they are read: gathered in pinned memory and copied ahead by a thread that
/// uses a GPU, where the batch is made of them when it is used.
class RawBatch {
 public:
  bool is_empty() const { return shape_.empty(); }
  /// Puts the record of a batch's i-th sample behind those before it.
  void put(int i, const Datum& datum, const Placement& placement, const Shape& batch);
  /// Returns when all is on the GPU.
  void copy_ahead(const ValueRule& rule);
  /// Shapes and fills it, by work of this thread's stream.
  void write_to(Blob* top) const;

 private:
  unsigned char* room_for(std::size_t bytes, int samples_left);

  Shape shape_;
  std::unique_ptr<SyncedMemory> bytes_;
  std::size_t used_ = 0;
  std::unique_ptr<SyncedMemory> records_;
  RawTransform transform_{};
};

using RawTransformRun = void (*)(const RawTransform& transform, int count, float* values);

/// Called once, by the static initialiser of the CUDA sources.
bool register_raw_transform(RawTransformRun run);

}  // namespace vibnet
