#include "data/raw_batch.h"

#include <algorithm>
#include <cstring>

namespace vibnet {
namespace {

RawTransformRun& registered_run() {
  static RawTransformRun run = nullptr;
  return run;
}

}  // namespace

bool register_raw_transform(RawTransformRun run) {
  registered_run() = run;
  return true;
}

void RawBatch::put(int i, const Datum& datum, const Placement& placement, const Shape& batch) {
  if (i == 0) {
    const std::size_t size = batch[0] * sizeof(RawRecord);
    if (records_ == nullptr) records_ = std::make_unique<SyncedMemory>(size);
    shape_ = batch;
    used_ = 0;
  }
  const bool is_float = datum.data().empty();
  const void* values = is_float ? static_cast<const void*>(datum.float_data().data())
                                : static_cast<const void*>(datum.data().data());
  const std::size_t size = is_float ? datum.float_data_size() * sizeof(float) : datum.data().size();
  std::memcpy(room_for(size, batch[0] - i), values, size);
  static_cast<RawRecord*>(records_->mutable_cpu_data())[i] = {
      static_cast<std::int64_t>(used_), is_float, datum.height(), datum.width(), placement};
  used_ += size;
}

/// Behind what is there, where a float may begin. Grows as if the samples left were of this size,
/// and by half at least: to give memory back stops a GPU.
unsigned char* RawBatch::room_for(std::size_t size, int samples_left) {
  constexpr std::size_t kAlignment = alignof(float);
  used_ = (used_ + kAlignment - 1) / kAlignment * kAlignment;
  if (bytes_ == nullptr || used_ + size > bytes_->bytes()) {
    const std::size_t half_more = bytes_ == nullptr ? 0 : bytes_->bytes() + bytes_->bytes() / 2;
    auto grown = std::make_unique<SyncedMemory>(
        std::max(half_more, used_ + samples_left * (size + kAlignment)));
    if (used_ > 0) std::memcpy(grown->mutable_cpu_data(), bytes_->cpu_data(), used_);
    bytes_ = std::move(grown);
  }
  return static_cast<unsigned char*>(bytes_->mutable_cpu_data()) + used_;
}

void RawBatch::copy_ahead(const ValueRule& rule) {
  transform_ = {static_cast<const unsigned char*>(bytes_->gpu_data()),
                static_cast<const RawRecord*>(records_->gpu_data()),
                rule,
                shape_[1],
                shape_[2],
                shape_[3]};
}

void RawBatch::write_to(Blob* top) const {
  top->reshape(shape_);
  registered_run()(transform_, top->count(), top->mutable_gpu_data());
}

}  // namespace vibnet
