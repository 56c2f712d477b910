#include "layers/batch_norm_layer.h"

#include "math/parallel.h"
#include "simd/kernels.h"
#include "vibnet/registry.h"

namespace vibnet {

void BatchNormLayer::read_running_stats() {
  const float factor = blobs_[2]->cpu_data()[0];
  const float scale = factor == 0 ? 0 : 1 / factor;
  for (int c = 0; c < channels(); ++c) {
    mean_[c] = scale * blobs_[0]->cpu_data()[c];
    variance_[c] = scale * blobs_[1]->cpu_data()[c];
  }
}

void BatchNormLayer::begin_forward(const Blobs& /*bottom*/) {
  if (uses_global_stats()) read_running_stats();
}

void BatchNormLayer::begin_looks(int parts) {
  looks_.assign(static_cast<std::size_t>(parts) * channels(), {});
}

void BatchNormLayer::look(const ChannelBlock& block, const float* x) {
  const BlockKernels& loops = kernels().blocks;
  const auto count = static_cast<float>(block.count());
  const float mean = loops.sum(x, block.count()) / count;
  looks_[std::size_t{1} * block.part * channels() + block.channel].add(
      {count, mean, loops.squares(x, mean, block.count())});
}

void BatchNormLayer::end_looks() {
  const int parts = static_cast<int>(looks_.size()) / std::max(1, channels());
  parallel_for(channels(), grain_of(8LL * parts), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      Moments all;
      for (int part = 0; part < parts; ++part)
        all.add(looks_[std::size_t{1} * part * channels() + c]);
      mean_[c] = all.mean;
      variance_[c] = all.count == 0 ? 0 : all.squares / all.count;
    }
  });
  if (context_.ranks->size() > 1) join_looks();
}

void BatchNormLayer::forward_block(const ChannelBlock& block, const float* x, float* y) {
  const int c = block.channel;
  kernels().blocks.multiply_add(x, mean(c), inverse_deviation(c), 0, y, block.count());
}

void BatchNormLayer::end_forward() {
  if (uses_global_stats()) return;
  const float kept = parameter_.batch_norm_param().moving_average_fraction();
  const float unbiased = values() > 1 ? static_cast<float>(values()) / (values() - 1) : 1;
  float* mean = blobs_[0]->mutable_cpu_data();
  float* variance = blobs_[1]->mutable_cpu_data();
  float* factor = blobs_[2]->mutable_cpu_data();
  factor[0] = kept * factor[0] + 1;
  for (int c = 0; c < channels(); ++c) {
    mean[c] = kept * mean[c] + this->mean(c);
    variance[c] = kept * variance[c] + unbiased * static_cast<float>(variance_[c]);
  }
}

void BatchNormLayer::begin_backward(int parts) {
  sums_.begin(channels(), parts);
  products_.begin(channels(), parts);
}

/// dx without the batch's mean and variance taken as depending on x; finish_block adds that.
void BatchNormLayer::backward_block(const ChannelBlock& block, const float* x, const float* /*y*/,
                                    const float* dy, float* dx) {
  const BlockKernels& loops = kernels().blocks;
  const int c = block.channel;
  const float scale = inverse_deviation(c);
  if (finishes_blocks()) {
    sums_.add(block, loops.sum(dy, block.count()));
    products_.add(block, loops.dot(x, mean(c), dy, block.count()) * scale);
  }
  loops.multiply_add(dy, 0, scale, 0, dx, block.count());
}

void BatchNormLayer::finish_block(const ChannelBlock& block, const float* x, float* dx) {
  const int c = block.channel;
  const float scale = inverse_deviation(c);
  const float of_mean = static_cast<float>(sums_[c] / values()) * scale;
  const float of_variance = static_cast<float>(products_[c] / values()) * scale * scale;
  kernels().blocks.subtract(x, mean(c), of_variance, of_mean, dx, block.count());
}

/// A rank's variance around the whole batch's mean is that around its own and the means' difference
/// squared.
void BatchNormLayer::join_looks() {
  const double ranks = context_.ranks->size();
  const std::vector<double> own = mean_;
  context_.ranks->sum(mean_.data(), mean_.size());
  for (int c = 0; c < channels(); ++c) {
    mean_[c] /= ranks;
    variance_[c] = (variance_[c] + (own[c] - mean_[c]) * (own[c] - mean_[c])) / ranks;
  }
  context_.ranks->sum(variance_.data(), variance_.size());
}

void BatchNormLayer::end_sums() {
  sums_.end();
  products_.end();
  if (context_.ranks->size() == 1) return;
  context_.ranks->sum(sums_.totals(), mean_.size());
  context_.ranks->sum(products_.totals(), mean_.size());
}

REGISTER_LAYER(BatchNorm, CPU, BatchNormLayer);

}  // namespace vibnet
