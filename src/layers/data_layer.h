#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "data/data_transformer.h"
#include "data/lmdb.h"
#include "data/prefetcher.h"
#include "vibnet/layer.h"

namespace vibnet {

/// Batches from an LMDB of Datum records (Caffe's Data).
///
/// Tops: data, batch_size x C x H x W; labels, batch_size, if named. The records of a batch are a
/// function of Context::batch() alone: in key order, or with `shuffle` in an order that each epoch
/// draws anew from the seed. So nothing need be saved to read on after a resume. Records may differ
/// in size only where batch_size is 1.
class DataLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {0, 0}; }
  BlobCount top_count() const override { return {1, 2}; }
  void set_up(const Blobs& bottom, const Blobs& top) override;
  void reshape(const Blobs& /*bottom*/, const Blobs& /*top*/) override {}
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& /*top*/, const std::vector<bool>& /*propagate_down*/,
                const Blobs& /*bottom*/) override {}

  /// Records in the database.
  std::int64_t size() const { return reader_->size(); }
  int batch_size() const { return static_cast<int>(parameter_.data_param().batch_size()); }

 private:
  void check_parameter() const;
  void shape_tops(const Shape& sample_shape, const Blobs& top) const;
  Shape read_record(const Record& record, Datum* datum) const;
  void read(std::int64_t index, Batch* batch);
  std::int64_t position_of(std::int64_t sample);

  std::unique_ptr<LmdbReader> reader_;
  std::unique_ptr<DataTransformer> transformer_;
  Shape sample_shape_;
  // Used by the prefetching thread alone: a record, and the order of the epoch that it reads.
  Datum datum_;
  std::vector<std::uint32_t> order_;
  std::int64_t order_epoch_ = -1;
  Batch batch_;
  /// Last, so that its thread ends before what it reads with.
  std::unique_ptr<Prefetcher> prefetcher_;
};

}  // namespace vibnet
