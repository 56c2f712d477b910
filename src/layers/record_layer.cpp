#include "layers/record_layer.h"

#include <algorithm>

#include "core/gpu_runtime.h"

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
  prefetcher_ = std::make_unique<Prefetcher>(
      [this](std::int64_t index, Batch* batch) { read(index, batch); },
      static_cast<int>(std::min(reading.ahead, kMostAhead)), context_.device);
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
  batch->labels.reshape({samples_});
  float* labels = batch->labels.mutable_cpu_data();
  const std::int64_t first = skip_ + context_.first_sample(index, samples_);
  for (int i = 0; i < samples_; ++i) {
    const std::int64_t sample = first + i;
    const std::int64_t position = order_.position_of(sample);
    const Shape shape = read_record(position);
    if (samples_ * context_.ranks->size() > 1 && shape != sample_shape_)
      vibnet::fail(records_->name_of(position), " comes out as ", to_string(shape),
                   ", and the first as ", to_string(sample_shape_),
                   "; only batch_size: 1 can mix sizes");
    labels[i] = static_cast<float>(datum_.label());
    const Shape batch_shape = {samples_, shape[0], shape[1], shape[2]};
    if (thread_uses_gpu()) {
      batch->raw.put(i, datum_, transformer_->place(datum_, shape, sample), batch_shape);
      continue;
    }
    batch->data.reshape(batch_shape);
    float* values = batch->data.mutable_cpu_data() + std::ptrdiff_t{i} * batch->data.count(1);
    transformer_->transform(datum_, shape, sample, values);
  }
  if (thread_uses_gpu()) batch->raw.copy_ahead(transformer_->rule_on_gpu());
}

void RecordLayer::forward(const Blobs& /*bottom*/, const Blobs& top) try {
  prefetcher_->take(context_.batch(), &batch_);
  batch_.copy_to(top, context_.device);
} catch (const GpuOutOfMemory&) {
  throw;  // the net says more of it
} catch (const Error& error) {
  fail(error.what());
}

}  // namespace vibnet
