#include "vibnet/blob.h"

#include <glog/logging.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <sstream>
#include <utility>

#include "vibnet.pb.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

/// Caffe's bound. Loops over places and axes need one: a prototxt can name any number of 1s.
constexpr std::size_t kMostAxes = 32;

}  // namespace

int count(const Shape& shape, int begin, int end) {
  int product = 1;
  for (int axis = begin; axis < end; ++axis) product *= shape[axis];
  return product;
}

std::string to_string(const Shape& shape) {
  std::ostringstream text;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) text << (axis ? "x" : "") << shape[axis];
  if (shape.empty()) text << "scalar";
  text << " (" << count(shape, 0, static_cast<int>(shape.size())) << ")";
  return text.str();
}

void Blob::reshape(const Shape& shape) {
  if (shape.size() > kMostAxes)
    fail("a blob has at most ", kMostAxes, " axes, and ", shape.size(), " are given");
  std::int64_t product = 1;
  for (const int dimension : shape) {
    if (dimension < 0) fail("a blob's dimension cannot be ", dimension);
    product *= dimension;
    if (product > std::numeric_limits<int>::max())
      fail("a blob holds at most 2^31 - 1 values; use a smaller batch or picture");
  }
  shape_ = shape;
  count_ = static_cast<int>(product);
  const std::size_t bytes = count_ * sizeof(float);
  if (bytes <= capacity_) return;
  capacity_ = bytes;
  data_ = std::make_shared<SyncedMemory>(bytes);
  diff_ = std::make_shared<SyncedMemory>(bytes);
}

int Blob::canonical_axis(int axis) const {
  const int positive = axis < 0 ? axis + axes() : axis;
  if (positive < 0 || positive >= axes())
    fail("axis ", axis, " is out of range for a blob of ", axes(), " axes");
  return positive;
}

DiffSum Blob::cpu_diff_sum() {
  const bool adds = !diff_->is_clear();
  return {static_cast<float*>(adds ? diff_->mutable_cpu_data() : diff_->overwritten_cpu_data()),
          adds};
}

void Blob::share_data(const Blob& other) {
  CHECK_EQ(count_, other.count_);
  use_data(other.data_);
}

void Blob::share_diff(const Blob& other) {
  CHECK_EQ(count_, other.count_);
  use_diff(other.diff_);
}

void Blob::use_data(std::shared_ptr<SyncedMemory> memory) {
  data_ = std::move(memory);
  capacity_ = std::min(data_->bytes(), diff_->bytes());
}

void Blob::use_diff(std::shared_ptr<SyncedMemory> memory) {
  diff_ = std::move(memory);
  capacity_ = std::min(data_->bytes(), diff_->bytes());
}

void Blob::copy_data(const Blob& other) {
  CHECK_EQ(count_, other.count_);
  data_->copy_from(other.data_.get(), count_ * sizeof(float));
}

void Blob::set_data(float value) { std::fill_n(mutable_cpu_data(), count_, value); }

void Blob::set_diff(float value) { std::fill_n(mutable_cpu_diff(), count_, value); }

Shape shape_of(const BlobShape& proto) {
  Shape shape;
  for (const std::int64_t dimension : proto.dim()) {
    if (dimension < 0 || dimension > std::numeric_limits<int>::max())
      fail("a blob's dimension cannot be ", dimension);
    shape.push_back(static_cast<int>(dimension));
  }
  return shape;
}

Shape shape_of(const BlobProto& proto) {
  const bool old_form =
      proto.has_num() || proto.has_channels() || proto.has_height() || proto.has_width();
  if (old_form && !proto.has_shape())
    return {proto.num(), proto.channels(), proto.height(), proto.width()};
  return shape_of(proto.shape());
}

bool Blob::fits(const BlobProto& stored) const {
  const auto without_leading_ones = [](const Shape& shape) {
    return Shape(std::find_if(shape.begin(), shape.end(), [](int d) { return d != 1; }),
                 shape.end());
  };
  const Shape shape = shape_of(stored);
  if (stored.has_shape()) return shape == shape_;
  return without_leading_ones(shape) == without_leading_ones(shape_);
}

void Blob::from_proto(const BlobProto& proto) {
  reshape(shape_of(proto));
  const auto read = [this](const auto& values, const char* what, float* (Blob::*target)()) {
    if (values.size() != count_)
      fail("a stored blob of ", count_, " values holds ", values.size(), " of ", what);
    std::copy(values.begin(), values.end(), (this->*target)());
  };
  if (proto.double_data_size() > 0)
    read(proto.double_data(), "data", &Blob::mutable_cpu_data);
  else
    read(proto.data(), "data", &Blob::mutable_cpu_data);
  if (proto.double_diff_size() > 0)
    read(proto.double_diff(), "diff", &Blob::mutable_cpu_diff);
  else if (proto.diff_size() > 0)
    read(proto.diff(), "diff", &Blob::mutable_cpu_diff);
}

void Blob::to_proto(BlobProto* proto, bool write_diff) const {
  proto->Clear();
  for (const int dimension : shape_) proto->mutable_shape()->add_dim(dimension);
  proto->mutable_data()->Add(cpu_data(), cpu_data() + count_);
  if (write_diff) proto->mutable_diff()->Add(cpu_diff(), cpu_diff() + count_);
}

}  // namespace vibnet
