#include "vibnet/memory_data_layer.h"

#include <algorithm>
#include <utility>

#include "data/data_transformer.h"
#include "data/datum.h"
#include "vibnet/registry.h"

namespace vibnet {

void MemoryDataLayer::set_up(const Blobs& /*bottom*/, const Blobs& top) {
  const MemoryDataParameter& parameter = parameter_.memory_data_param();
  batch_size_ = size_of("batch_size", parameter.batch_size());
  shape_ = {size_of("channels", parameter.channels()), size_of("height", parameter.height()),
            size_of("width", parameter.width())};
  if (batch_size_ == 0 || std::count(shape_.begin(), shape_.end(), 0) > 0)
    fail("needs batch_size, channels, height and width in memory_data_param, all at least 1");
  samples_ = share_of(batch_size_);
  top[0]->reshape({samples_, shape_[0], shape_[1], shape_[2]});
  top[1]->reshape({samples_});
}

void MemoryDataLayer::reset(std::vector<float> data, std::vector<float> labels) {
  if (labels.empty() || labels.size() % batch_size_ != 0)
    fail(labels.size(), " rows are no whole batches of ", batch_size_);
  if (data.size() != labels.size() * count(shape_, 0, 3))
    fail(data.size(), " values are not ", labels.size(), " rows of ", to_string(shape_));
  data_ = std::move(data);
  labels_ = std::move(labels);
  first_batch_.reset();
}

/// Decodes the datum; returns the shape that it comes out in.
Shape MemoryDataLayer::complete(const DataTransformer& transformer, const std::string& where,
                                Datum* datum) const try {
  complete_datum(parameter_.transform_param(), where, datum);
  return transformer.output_shape(*datum);
} catch (const Error& error) {
  fail(error.what());
}

void MemoryDataLayer::add_datums(const std::vector<Datum>& datums) {
  const DataTransformer transformer(parameter_.transform_param(), context_.phase, random_key());
  const std::int64_t values = count(shape_, 0, 3);
  const std::int64_t first = context_.batch() * batch_size_;
  std::vector<float> data(datums.size() * values);
  std::vector<float> labels;
  for (std::size_t i = 0; i < datums.size(); ++i) {
    Datum datum = datums[i];
    const std::string where = "datum " + std::to_string(i);
    const Shape shape = complete(transformer, where, &datum);
    if (shape != shape_)
      fail(where, " comes out as ", to_string(shape), ", and must be ", to_string(shape_));
    transformer.transform(datum, shape, first + static_cast<std::int64_t>(i), &data[i * values]);
    labels.push_back(static_cast<float>(datum.label()));
  }
  reset(std::move(data), std::move(labels));
}

void MemoryDataLayer::forward(const Blobs& /*bottom*/, const Blobs& top) {
  if (labels_.empty()) fail("has no data; the program must call reset() or add_datums() first");
  const auto rows = static_cast<std::int64_t>(labels_.size());
  if (!first_batch_ || *first_batch_ > context_.batch()) first_batch_ = context_.batch();
  const std::int64_t row = context_.first_sample(context_.batch() - *first_batch_, samples_) % rows;
  std::copy_n(&data_[row * count(shape_, 0, 3)], top[0]->count(), top[0]->mutable_cpu_data());
  std::copy_n(&labels_[row], samples_, top[1]->mutable_cpu_data());
}

REGISTER_LAYER(MemoryData, CPU, MemoryDataLayer);

}  // namespace vibnet
