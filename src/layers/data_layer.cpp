#include "layers/data_layer.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "data/datum.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

constexpr std::uint32_t kMostAhead = 1000;

}  // namespace

void DataLayer::check_parameter() const {
  const DataParameter& parameter = parameter_.data_param();
  if (parameter.source().empty()) fail("data_param has no source");
  if (batch_size() < 1) fail("data_param needs a batch_size of at least 1");
  if (parameter.has_backend() && parameter.backend() != DataParameter::LMDB)
    fail("reads LMDB, and backend says LEVELDB; convert the data and set backend: LMDB");
  if (parameter.rand_skip() != 0)
    fail("rand_skip: ", parameter.rand_skip(), " is not supported; shuffle: true draws an order");
}

void DataLayer::set_up(const Blobs& /*bottom*/, const Blobs& top) {
  check_parameter();
  const DataParameter& parameter = parameter_.data_param();
  reader_ = std::make_unique<LmdbReader>(parameter.source());
  transformer_ =
      std::make_unique<DataTransformer>(parameter_.transform_param(), context_.phase, random_key());
  sample_shape_ = read_record(reader_->at(0), &datum_);
  shape_tops(sample_shape_, top);
  prefetcher_ =
      std::make_unique<Prefetcher>([this](std::int64_t index, Batch* batch) { read(index, batch); },
                                   static_cast<int>(std::min(parameter.prefetch(), kMostAhead)));
}

void DataLayer::shape_tops(const Shape& sample_shape, const Blobs& top) const {
  Shape shape = sample_shape;
  shape.insert(shape.begin(), batch_size());
  top[0]->reshape(shape);
  if (top.size() > 1) top[1]->reshape({batch_size()});
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

/// Returns the shape that the record comes out in.
Shape DataLayer::read_record(const Record& record, Datum* datum) const {
  read_datum(record, parameter_.transform_param(), reader_->path(), datum);
  try {
    return transformer_->output_shape(*datum);
  } catch (const Error& error) {
    vibnet::fail(name_of(record, reader_->path()), ": ", error.what());
  }
}

void DataLayer::read(std::int64_t index, Batch* batch) {
  batch->labels.resize(batch_size());
  for (int i = 0; i < batch_size(); ++i) {
    const std::int64_t sample = index * batch_size() + i;
    const Record record = reader_->at(position_of(sample));
    batch->sample_shape = read_record(record, &datum_);
    if (batch_size() > 1 && batch->sample_shape != sample_shape_)
      vibnet::fail(name_of(record, reader_->path()), " comes out as ",
                   to_string(batch->sample_shape), ", and the first as ", to_string(sample_shape_),
                   "; only batch_size: 1 can mix sizes");
    const std::size_t values = count(batch->sample_shape, 0, 3);
    batch->data.resize(batch_size() * values);
    transformer_->transform(datum_, batch->sample_shape, sample, &batch->data[i * values]);
    batch->labels[i] = static_cast<float>(datum_.label());
  }
}

void DataLayer::forward(const Blobs& /*bottom*/, const Blobs& top) try {
  prefetcher_->take(context_.batch(), &batch_);
  shape_tops(batch_.sample_shape, top);
  std::copy(batch_.data.begin(), batch_.data.end(), top[0]->mutable_cpu_data());
  if (top.size() > 1)
    std::copy(batch_.labels.begin(), batch_.labels.end(), top[1]->mutable_cpu_data());
} catch (const Error& error) {
  fail(error.what());
}

REGISTER_LAYER(Data, CPU, DataLayer);

}  // namespace vibnet
