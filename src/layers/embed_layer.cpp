#include "layers/embed_layer.h"

#include <algorithm>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void EmbedLayer::set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) {
  words_ = size_of("input_dim", parameter().input_dim());
  outputs_ = size_of("num_output", parameter().num_output());
  if (words_ < 1) fail("input_dim is missing or 0");
  if (outputs_ < 1) fail("num_output is missing or 0");
  add_blob({words_, outputs_}, &parameter().weight_filler());
  if (parameter().bias_term()) add_blob({outputs_}, &parameter().bias_filler());
}

void EmbedLayer::reshape(const Blobs& bottom, const Blobs& top) {
  Shape shape = bottom[0]->shape();
  shape.push_back(outputs_);
  top[0]->reshape(shape);
}

void EmbedLayer::forward(const Blobs& bottom, const Blobs& top) {
  read_indices(*bottom[0]);
  const float* table = blobs_[0]->cpu_data();
  const float* bias = parameter().bias_term() ? blobs_[1]->cpu_data() : nullptr;
  float* y = top[0]->mutable_cpu_data();
  parallel_for(indices_.size(), grain_of(outputs_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* row = table + indices_[i] * outputs_;
      for (int o = 0; o < outputs_; ++o)
        y[i * outputs_ + o] = row[o] + (bias == nullptr ? 0 : bias[o]);
    }
  });
}

void EmbedLayer::backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                          const Blobs& /*bottom*/) {
  const float* dy = top[0]->cpu_diff();
  float* table = learns(0) ? blobs_[0]->mutable_cpu_diff() : nullptr;
  float* bias = parameter().bias_term() && learns(1) ? blobs_[1]->mutable_cpu_diff() : nullptr;
  // Shared out by output, since two indices may name one row.
  const auto grain = grain_of(static_cast<std::int64_t>(indices_.size()));
  parallel_for(outputs_, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::size_t i = 0; i < indices_.size(); ++i)
      for (std::int64_t o = begin; o < end; ++o) {
        if (table != nullptr) table[indices_[i] * outputs_ + o] += dy[i * outputs_ + o];
        if (bias != nullptr) bias[o] += dy[i * outputs_ + o];
      }
  });
}

void EmbedLayer::fail_index(float index) const {
  fail("index ", index, " is not below the input_dim of ", words_);
}

void EmbedLayer::read_indices(const Blob& bottom) {
  indices_.clear();
  for (int i = 0; i < bottom.count(); ++i) {
    const float index = bottom.cpu_data()[i];
    if (!(index >= 0 && index < static_cast<float>(words_))) fail_index(index);
    indices_.push_back(static_cast<std::int64_t>(index));
  }
}

REGISTER_LAYER(Embed, CPU, EmbedLayer);

}  // namespace vibnet
