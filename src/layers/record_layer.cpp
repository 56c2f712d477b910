#include "layers/record_layer.h"

#include <algorithm>

namespace vibnet {
namespace {

constexpr std::uint32_t kMostAhead = 1000;

}  // namespace

void RecordLayer::set_up(const Blobs& /*bottom*/, const Blobs& top) {
  if (batch_size() < 1) fail("needs a batch_size of at least 1");
  samples_ = share_of(batch_size());
  records_ = open();
  const Reading reading = this->reading();
  order_ =
      RecordOrder(size(), reading.shuffle, vibnet::random_key(context_.seed, name() + "/order"));
  skip_ = drawn_skip();
  transformer_ =
      std::make_unique<DataTransformer>(parameter_.transform_param(), context_.phase, random_key());
  sample_shape_ = read_record(order_.position_of(skip_));
  shape_tops(sample_shape_, top);
  prefetcher_ =
      std::make_unique<Prefetcher>([this](std::int64_t index, Batch* batch) { read(index, batch); },
                                   static_cast<int>(std::min(reading.ahead, kMostAhead)));
}

std::int64_t RecordLayer::drawn_skip() const {
  const std::uint32_t below = reading().rand_skip;
  if (below == 0) return 0;
  const std::uint32_t skip =
      RandomSequence(vibnet::random_key(context_.seed, name() + "/skip")).below(below);
  if (skip >= size())
    fail("rand_skip: ", below, " skips ", skip, " records this time, and there are ", size());
  return skip;
}

void RecordLayer::shape_tops(const Shape& sample_shape, const Blobs& top) const {
  Shape shape = sample_shape;
  shape.insert(shape.begin(), samples_);
  top[0]->reshape(shape);
  if (top.size() > 1) top[1]->reshape({samples_});
}

/// Reads into datum_; returns the shape that the record comes out in.
Shape RecordLayer::read_record(std::int64_t position) {
  records_->read(position, &datum_);
  try {
    return transformer_->output_shape(datum_);
  } catch (const Error& error) {
    vibnet::fail(records_->name_of(position), ": ", error.what());
  }
}

void RecordLayer::read(std::int64_t index, Batch* batch) {
  const std::int64_t first = skip_ + context_.first_sample(index, samples_);
  batch->labels.resize(samples_);
  for (int i = 0; i < samples_; ++i) {
    const std::int64_t sample = first + i;
    const std::int64_t position = order_.position_of(sample);
    batch->sample_shape = read_record(position);
    if (samples_ * context_.ranks->size() > 1 && batch->sample_shape != sample_shape_)
      vibnet::fail(records_->name_of(position), " comes out as ", to_string(batch->sample_shape),
                   ", and the first as ", to_string(sample_shape_),
                   "; only batch_size: 1 can mix sizes");
    const std::size_t values = count(batch->sample_shape, 0, 3);
    batch->data.resize(samples_ * values);
    transformer_->transform(datum_, batch->sample_shape, sample, &batch->data[i * values]);
    batch->labels[i] = static_cast<float>(datum_.label());
  }
}

void RecordLayer::forward(const Blobs& /*bottom*/, const Blobs& top) try {
  prefetcher_->take(context_.batch(), &batch_);
  shape_tops(batch_.sample_shape, top);
  std::copy(batch_.data.begin(), batch_.data.end(), top[0]->mutable_cpu_data());
  if (top.size() > 1)
    std::copy(batch_.labels.begin(), batch_.labels.end(), top[1]->mutable_cpu_data());
} catch (const Error& error) {
  fail(error.what());
}

}  // namespace vibnet
