#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/data_transformer.h"
#include "data/prefetcher.h"
#include "data/record_order.h"
#include "layers/dataset_layer.h"

namespace vibnet {

/// Datum records by their place. Used by one thread at a time.
class RecordSource {
 public:
  virtual ~RecordSource() = default;

  virtual std::int64_t size() const = 0;
  /// Names the record in an Error.
  virtual std::string name_of(std::int64_t position) = 0;
  /// Reads a record, decoded, whose values fill its size. Throws Error.
  virtual void read(std::int64_t position, Datum* datum) = 0;
};

/// What Data and ImageData share: batches of records, transformed and read ahead by a thread.
///
/// Tops: data, batch_size x C x H x W; labels, batch_size, if named. Records come as they stand, or
/// with `shuffle` in an order that each epoch draws anew from the seed. The first epoch begins
/// after as many records as are drawn below `rand_skip`. Records may differ in size only where
/// batch_size is 1.
class RecordLayer : public DatasetLayer {
 public:
  using DatasetLayer::DatasetLayer;

  BlobCount top_count() const override { return {1, 2}; }
  void set_up(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;

  std::int64_t size() const override { return records_->size(); }
  double seconds_waited() const override { return prefetcher_->seconds_waited(); }

 protected:
  /// What a layer's own parameter says.
  struct Reading {
    bool shuffle;
    std::uint32_t rand_skip;
    /// Batches read ahead.
    std::uint32_t ahead;
  };

  /// Checks the layer's parameter, and opens what it names.
  virtual std::unique_ptr<RecordSource> open() = 0;
  virtual Reading reading() const = 0;

 private:
  void shape_tops(const Shape& sample_shape, const Blobs& top) const;
  std::int64_t drawn_skip() const;
  Shape read_record(std::int64_t position);
  void read(std::int64_t index, Batch* batch);

  std::unique_ptr<RecordSource> records_;
  std::unique_ptr<DataTransformer> transformer_;
  /// This rank's of a batch. The thread may outlive the class that says it.
  int samples_ = 0;
  Shape sample_shape_;
  std::int64_t skip_ = 0;
  // Used by the prefetching thread alone.
  RecordOrder order_;
  Datum datum_;
  Batch batch_;
  /// Last, so that its thread ends before what it reads with.
  std::unique_ptr<Prefetcher> prefetcher_;
};

}  // namespace vibnet
