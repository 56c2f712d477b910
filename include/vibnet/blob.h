#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vibnet/synced_memory.h"

namespace vibnet {

class BlobProto;
class BlobShape;

using Shape = std::vector<int>;

/// The product of the dimensions from `begin` up to `end`; 1 for none.
int count(const Shape& shape, int begin, int end);

/// "2x3x4 (24)": a shape and its count, for messages.
std::string to_string(const Shape& shape);

/// Where a layer sums up a gradient: it adds to what is there, or, where it does not, writes all.
struct DiffSum {
  float* values;
  bool adds;
};

/// An N-dimensional float32 array (data) with its gradient (diff), row-major, in memory that moves
/// between devices by itself. Copies of a Blob are not made; share_data and share_diff share.
class Blob {
 public:
  Blob() = default;
  explicit Blob(const Shape& shape) { reshape(shape); }
  Blob(const Blob&) = delete;
  Blob& operator=(const Blob&) = delete;
  Blob(Blob&&) = default;
  Blob& operator=(Blob&&) = default;

  /// Sets the shape; memory is made anew only when it must grow. Throws Error on a negative
  /// dimension, more than 32 axes or a count over 2^31 - 1.
  void reshape(const Shape& shape);
  void reshape_like(const Blob& other) { reshape(other.shape_); }

  const Shape& shape() const { return shape_; }
  /// The size of an axis; -1 is the last.
  int shape(int axis) const { return shape_[canonical_axis(axis)]; }
  int axes() const { return static_cast<int>(shape_.size()); }
  int count() const { return count_; }
  int count(int begin_axis) const { return vibnet::count(shape_, begin_axis, axes()); }
  int count(int begin_axis, int end_axis) const {
    return vibnet::count(shape_, begin_axis, end_axis);
  }
  /// Turns a negative axis into one counted from the front. Throws Error if there is none such.
  int canonical_axis(int axis) const;

  const float* cpu_data() const { return static_cast<const float*>(data_->cpu_data()); }
  const float* gpu_data() const { return static_cast<const float*>(data_->gpu_data()); }
  /// Asked for anew before each change: layers may have made something of what was there, and what
  /// is written through a pointer that was kept they do not see.
  float* mutable_cpu_data() { return static_cast<float*>(data_->mutable_cpu_data()); }
  float* mutable_gpu_data() { return static_cast<float*>(data_->mutable_gpu_data()); }
  const float* cpu_diff() const { return static_cast<const float*>(diff_->cpu_data()); }
  const float* gpu_diff() const { return static_cast<const float*>(diff_->gpu_data()); }
  float* mutable_cpu_diff() { return static_cast<float*>(diff_->mutable_cpu_data()); }
  float* mutable_gpu_diff() { return static_cast<float*>(diff_->mutable_gpu_data()); }

  /// Zeros the diff, which is only written when somebody asks for it.
  void clear_diff() { diff_->clear(); }
  /// The diff for a layer that adds to it, or, where it is clear, writes all of it.
  DiffSum cpu_diff_sum();

  const SyncedMemory& data_memory() const { return *data_; }
  const SyncedMemory& diff_memory() const { return *diff_; }
  /// See SyncedMemory::stamp.
  std::uint64_t data_stamp() const { return data_->stamp(); }

  /// Uses the other blob's memory from now on. The counts must be equal.
  void share_data(const Blob& other);
  void share_diff(const Blob& other);
  /// Uses this memory, of at least the blob's count, from now on.
  void use_data(std::shared_ptr<SyncedMemory> memory);
  void use_diff(std::shared_ptr<SyncedMemory> memory);

  /// Takes over the other's values, on the device where they are. The counts must be equal.
  void copy_data(const Blob& other);
  void set_data(float value);
  void set_diff(float value);

  /// Whether a stored blob is of this shape. Old files state 4 axes for every blob: there, 1s in
  /// front do not count.
  bool fits(const BlobProto& stored) const;
  /// Reads shape (Caffe's old num/channels/height/width too), data and diff, float or double.
  /// Throws Error when the values do not fill the shape.
  void from_proto(const BlobProto& proto);
  void to_proto(BlobProto* proto, bool write_diff = false) const;

 private:
  Shape shape_;
  int count_ = 0;
  std::size_t capacity_ = 0;
  std::shared_ptr<SyncedMemory> data_ = std::make_shared<SyncedMemory>(0);
  std::shared_ptr<SyncedMemory> diff_ = std::make_shared<SyncedMemory>(0);
};

/// The shape that a message states; a BlobProto has two forms for it. Throws Error where an int
/// cannot hold a dimension.
Shape shape_of(const BlobProto& proto);
Shape shape_of(const BlobShape& proto);

}  // namespace vibnet
