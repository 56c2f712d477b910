#pragma once

#include <cstdint>
#include <string>

#include "core/file.h"
#include "vibnet.pb.h"

namespace vibnet {

/// A caffemodel whose values stay in the file until they are asked for, so that a net can take them
/// over blob by blob, without another copy of them all in memory.
class StoredNet {
 public:
  /// Throws Error where the file is missing, cut off, no caffemodel, or has no layers.
  explicit StoredNet(const std::string& path);

  /// The net, upgraded. Its blobs state their shapes and hold no values.
  const NetParameter& net() const { return net_; }
  /// How many values a blob of net() has.
  static std::int64_t value_count(const BlobProto& blob);
  /// Reads the values of a blob of net().
  void read(const BlobProto& blob, float* values) const;

 private:
  void read_span(std::int64_t offset, std::int64_t count, float* values) const;

  std::string path_;
  File file_;
  NetParameter net_;
};

/// Copies the values that a message holds, float or double. Throws Error where they are not
/// `count`.
void copy_values(const BlobProto& blob, std::int64_t count, float* values);

}  // namespace vibnet
