#include "layers/mvn_layer.h"

#include <cmath>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void MVNLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Blob& x = *bottom[0];
  if (x.axes() > 4) fail("works on at most 4 axes, and the bottom is ", to_string(x.shape()));
  Shape shape = x.shape();
  shape.resize(4, 1);
  rows_ = parameter().across_channels() ? shape[0] : shape[0] * shape[1];
  size_ = rows_ == 0 ? 0 : x.count() / rows_;
  top[0]->reshape(shape);
  normalized_.reshape(shape);
  divisor_.assign(rows_, 1);
}

ChannelRule MVNLayer::channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const {
  return parameter().across_channels() ? ChannelRule::wall() : ChannelRule::pointwise();
}

void MVNLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  float* normalized = normalized_.mutable_cpu_data();
  for_each_row([&](std::int64_t row, std::int64_t begin, std::int64_t end) {
    double sum = 0;
    for (std::int64_t i = begin; i < end; ++i) sum += x[i];
    const float mean = static_cast<float>(sum / size_);
    double squares = 0;
    for (std::int64_t i = begin; i < end; ++i) squares += (x[i] - mean) * (x[i] - mean);
    if (parameter().normalize_variance())
      divisor_[row] = static_cast<float>(std::sqrt(squares / size_)) + parameter().eps();
    for (std::int64_t i = begin; i < end; ++i) y[i] = normalized[i] = (x[i] - mean) / divisor_[row];
  });
}

void MVNLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                        const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* y = normalized_.cpu_data();
  const float* dy = top[0]->cpu_diff();
  float* dx = bottom[0]->mutable_cpu_diff();
  for_each_row([&](std::int64_t row, std::int64_t begin, std::int64_t end) {
    double sum = 0;
    double products = 0;
    for (std::int64_t i = begin; i < end; ++i) {
      sum += dy[i];
      products += dy[i] * y[i];
    }
    const float mean = static_cast<float>(sum / size_);
    const float slope = parameter().normalize_variance() ? static_cast<float>(products / size_) : 0;
    for (std::int64_t i = begin; i < end; ++i)
      dx[i] = (dy[i] - mean - slope * y[i]) / divisor_[row];
  });
}

template <typename Body>
void MVNLayer::for_each_row(const Body& body) const {
  parallel_for(rows_, grain_of(4LL * size_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) body(row, row * size_, (row + 1) * size_);
  });
}

REGISTER_LAYER(MVN, CPU, MVNLayer);

}  // namespace vibnet
