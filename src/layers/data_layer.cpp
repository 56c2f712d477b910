#include "layers/data_layer.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/datum.h"
#include "vibnet/registry.h"

namespace vibnet {

void DataLayer::set_up(const Blobs& /*bottom*/, const Blobs& top) {
  const DataParameter& parameter = parameter_.data_param();
  if (parameter.source().empty()) fail("data_param has no source");
  if (batch_size() < 1) fail("batch_size is missing or 0");
  if (parameter.has_backend() && parameter.backend() != DataParameter::LMDB)
    fail("reads LMDB, not LevelDB; convert the data and set backend: LMDB");
  if (parameter.rand_skip() != 0) fail("rand_skip is not kept up; use shuffle: true");
  reader_ = std::make_unique<LmdbReader>(parameter.source());
  transformer_ =
      std::make_unique<DataTransformer>(parameter_.transform_param(), context_.phase, random_key());
  const Record first = reader_->at(0);
  const Datum datum = read_datum(first.value, parameter_.transform_param(),
                                 reader_->path() + ": record '" + std::string(first.key) + "'");
  sample_shape_ = transformer_->output_shape(datum);
  Shape shape = sample_shape_;
  shape.insert(shape.begin(), batch_size());
  top[0]->reshape(shape);
  if (top.size() > 1) top[1]->reshape({batch_size()});
  prefetcher_ =
      std::make_unique<Prefetcher>([this](std::int64_t index, Batch* batch) { read(index, batch); },
                                   static_cast<int>(parameter.prefetch()));
}

/// Where in the database the sample stands, counting samples over the whole run.
std::int64_t DataLayer::position_of(std::int64_t sample) {
  const std::int64_t size = reader_->size();
  if (!parameter_.data_param().shuffle()) return sample % size;
  const std::int64_t epoch = sample / size;
  if (epoch != order_epoch_) {
    order_.resize(size);
    std::iota(order_.begin(), order_.end(), 0u);
    RandomSequence random(vibnet::random_key(context_.seed, name() + "/order"),
                          static_cast<std::uint64_t>(epoch));
    for (std::int64_t i = size - 1; i > 0; --i)
      std::swap(order_[i], order_[random.below(static_cast<std::uint32_t>(i + 1))]);
    order_epoch_ = epoch;
  }
  return order_[sample % size];
}

void DataLayer::read(std::int64_t index, Batch* batch) {
  const int size = count(sample_shape_, 0, 3);
  batch->data.resize(static_cast<std::size_t>(batch_size()) * size);
  batch->labels.resize(batch_size());
  for (int i = 0; i < batch_size(); ++i) {
    const std::int64_t sample = index * batch_size() + i;
    const Record record = reader_->at(position_of(sample));
    const std::string where = reader_->path() + ": record '" + std::string(record.key) + "'";
    const Datum datum = read_datum(record.value, parameter_.transform_param(), where);
    if (transformer_->output_shape(datum) != sample_shape_)
      fail(where, " comes out as ", to_string(transformer_->output_shape(datum)),
           ", and the first as ", to_string(sample_shape_), "; all must be of one size");
    transformer_->transform(datum, sample, batch->data.data() + std::int64_t{i} * size);
    batch->labels[i] = static_cast<float>(datum.label());
  }
}

void DataLayer::forward(const Blobs& /*bottom*/, const Blobs& top) {
  prefetcher_->take(context_.batch(), &batch_);
  std::copy(batch_.data.begin(), batch_.data.end(), top[0]->mutable_cpu_data());
  if (top.size() > 1)
    std::copy(batch_.labels.begin(), batch_.labels.end(), top[1]->mutable_cpu_data());
}

REGISTER_LAYER(Data, CPU, DataLayer);

}  // namespace vibnet
