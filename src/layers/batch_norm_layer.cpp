#include "layers/batch_norm_layer.h"

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
  if (uses_global_stats()) return read_running_stats();
  std::fill(mean_.begin(), mean_.end(), 0);
  std::fill(variance_.begin(), variance_.end(), 0);
}

/// Mean and variance of what was seen so far, and the block's around its own mean, make those of
/// all (Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
/// Variances, 1979).
void BatchNormLayer::look(const ChannelBlock& block, const float* x) {
  const BlockKernels& loops = kernels().blocks;
  const int c = block.channel;
  const double count = block.count();
  const double seen = double{1} * block.first_sample * layout().values + block.first_value;
  const double all = seen + count;
  const float mean = loops.sum(x, block.count()) / static_cast<float>(count);
  const double squares = loops.squares(x, mean, block.count());
  const double apart = mean - mean_[c];
  variance_[c] = (variance_[c] * seen + squares + apart * apart * seen * count / all) / all;
  mean_[c] += apart * count / all;
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

void BatchNormLayer::begin_backward() {
  sums_.clear(channels());
  products_.clear(channels());
}

/// dx without the batch's mean and variance taken as depending on x; finish_block adds that.
void BatchNormLayer::backward_block(const ChannelBlock& block, const float* x, const float* /*y*/,
                                    const float* dy, float* dx) {
  const BlockKernels& loops = kernels().blocks;
  const int c = block.channel;
  const float scale = inverse_deviation(c);
  if (finishes_blocks()) {
    sums_.add(c, loops.sum(dy, block.count()));
    products_.add(c, loops.dot(x, mean(c), dy, block.count()) * scale);
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

void BatchNormLayer::join_sums() {
  context_.ranks->sum(sums_.values(), mean_.size());
  context_.ranks->sum(products_.values(), mean_.size());
}

REGISTER_LAYER(BatchNorm, CPU, BatchNormLayer);

}  // namespace vibnet
