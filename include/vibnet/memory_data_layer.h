#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

class DataTransformer;

/// Batches of what the program hands over (Caffe's MemoryData): net.layer("data") cast to this.
///
/// Tops: data, batch_size x channels x height x width; labels, batch_size. What is
/// handed over is read from its first row on, batch_size rows for each step of Context::batch(),
/// around the end.
class MemoryDataLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {0, 0}; }
  BlobCount top_count() const override { return {2, 2}; }
  void set_up(const Blobs& bottom, const Blobs& top) override;
  void reshape(const Blobs& /*bottom*/, const Blobs& /*top*/) override {}
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& /*top*/, const std::vector<bool>& /*propagate_down*/,
                const Blobs& /*bottom*/) override {}

  /// From now on these are the data, row after row, one for each label. Throws Error where they are
  /// not whole batches of channels x height x width.
  void reset(std::vector<float> data, std::vector<float> labels);
  /// The same with records, which transform_param is applied to; pictures are decoded.
  void add_datums(const std::vector<Datum>& datums);

 private:
  Shape complete(const DataTransformer& transformer, const std::string& where, Datum* datum) const;

  /// Of one row.
  Shape shape_;
  int batch_size_ = 0;
  /// This rank's of a batch.
  int samples_ = 0;
  std::vector<float> data_;
  std::vector<float> labels_;
  /// The Context::batch() that the data's first row is read at, once known.
  std::optional<std::int64_t> first_batch_;
};

}  // namespace vibnet
