#include <algorithm>
#include <cmath>
#include <vector>

#include "layers/channel_sums.h"
#include "layers/channelwise_layer.h"
#include "simd/kernels.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = (x - mean) / sqrt(variance + eps) per channel (Caffe's BatchNorm, without scale and shift).
///
/// Bottom and top: N x C x ..., in place if asked. Mean and variance are the batch's in TRAIN and
/// the running ones in TEST, unless use_global_stats says else. Blobs, none learned: the running
/// sums of mean and variance, C each, and the factor that both are divided by.
class BatchNormLayer : public ChannelwiseLayer {
 public:
  using ChannelwiseLayer::ChannelwiseLayer;

  bool is_learnable(int /*index*/) const override { return false; }

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override {
    const int channels = bottom[0]->axes() == 1 ? 1 : bottom[0]->shape(1);
    add_blob({channels}, nullptr);
    add_blob({channels}, nullptr);
    add_blob({1}, nullptr);
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    ChannelwiseLayer::reshape(bottom, top);
    if (channels() != blobs_[0]->count())
      fail("was made for ", blobs_[0]->count(), " channels, and the bottom has ", channels());
    mean_.resize(channels());
    variance_.resize(channels());
  }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    ChannelRule rule = ChannelRule::pointwise();
    rule.channel_blobs = 2;
    rule.has_shift = true;
    return rule;
  }

  void begin_forward(const Blobs& bottom) override;
  int looks() const override { return uses_global_stats() ? 0 : 2; }
  void look(int number, const ChannelBlock& block, const float* x) override;
  void forward_block(const ChannelBlock& block, const float* x, float* y) override;
  void end_forward() override;
  void begin_backward() override;
  void backward_block(const ChannelBlock& block, const float* x, const float* y, const float* dy,
                      float* dx) override;
  bool finishes_blocks() const override { return !uses_global_stats(); }
  void finish_block(const ChannelBlock& block, const float* x, float* dx) override;
  bool joins_ranks() const override { return context_.ranks->size() > 1 && !uses_global_stats(); }
  void join_looks() override;
  void join_sums() override;

 private:
  bool uses_global_stats() const {
    const BatchNormParameter& parameter = parameter_.batch_norm_param();
    return parameter.has_use_global_stats() ? parameter.use_global_stats() : context_.phase == TEST;
  }
  int channels() const { return layout().channels; }
  /// Of a channel, and of its share that this rank has.
  int values() const { return own_values() * context_.ranks->size(); }
  int own_values() const { return std::max(1, layout().samples * layout().values); }
  float mean(int channel) const { return static_cast<float>(mean_[channel]); }
  float inverse_deviation(int channel) const {
    return 1 /
           std::sqrt(static_cast<float>(variance_[channel]) + parameter_.batch_norm_param().eps());
  }

  void read_running_stats();

  std::vector<double> mean_;
  std::vector<double> variance_;
  /// Of dL/dy, and of it times y.
  ChannelSums sums_;
  ChannelSums products_;
};

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

/// The mean, then the variance around it.
void BatchNormLayer::look(int number, const ChannelBlock& block, const float* x) {
  const BlockKernels& loops = kernels().blocks;
  const int c = block.channel;
  if (number == 0)
    mean_[c] += double{loops.sum(x, block.count())} / own_values();
  else
    variance_[c] += double{loops.squares(x, mean(c), block.count())} / own_values();
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

REGISTER_LAYER(BatchNorm, CPU, BatchNormLayer);

}  // namespace vibnet
