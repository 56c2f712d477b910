#pragma once

#include <memory>

#include "layers/record_layer.h"

namespace vibnet {

/// Batches from an LMDB of Datum records (Caffe's Data, whose LevelDB is refused): data_param's
/// source, batch_size, rand_skip and, ours, shuffle; transform_param. The rest is RecordLayer's.
class DataLayer : public RecordLayer {
 public:
  using RecordLayer::RecordLayer;

  int batch_size() const override { return static_cast<int>(parameter_.data_param().batch_size()); }

 protected:
  std::unique_ptr<RecordSource> open() override;
  Reading reading() const override;
};

}  // namespace vibnet
