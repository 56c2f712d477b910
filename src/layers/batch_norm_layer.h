#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "layers/channel_sums.h"
#include "layers/channelwise_layer.h"

namespace vibnet {

/// Of some values.
struct Moments {
  double count = 0;
  double mean = 0;
  /// The sum of (value - mean)^2.
  double squares = 0;

  /// Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
  /// Variances, 1979.
  VIBNET_HOST_DEVICE void add(const Moments& others) {
    const double all = count + others.count;
    if (all == 0) return;
    const double apart = others.mean - mean;
    squares += others.squares + apart * apart * count * others.count / all;
    mean += apart * others.count / all;
    count = all;
  }
};

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
  bool looks() const override { return !uses_global_stats(); }
  void begin_looks(int parts) override;
  void look(const ChannelBlock& block, const float* x) override;
  void end_looks() override;
  void forward_block(const ChannelBlock& block, const float* x, float* y) override;
  void end_forward() override;
  void begin_backward(int parts) override;
  void backward_block(const ChannelBlock& block, const float* x, const float* y, const float* dy,
                      float* dx) override;
  bool finishes_blocks() const override { return !uses_global_stats(); }
  void end_sums() override;
  void finish_block(const ChannelBlock& block, const float* x, float* dx) override;

 protected:
  bool uses_global_stats() const {
    const BatchNormParameter& parameter = parameter_.batch_norm_param();
    return parameter.has_use_global_stats() ? parameter.use_global_stats() : context_.phase == TEST;
  }
  int channels() const { return layout().channels; }
  /// Of a channel, and of its share that this rank has.
  int values() const { return own_values() * context_.ranks->size(); }
  int own_values() const { return std::max(1, layout().samples * layout().values); }

 private:
  float mean(int channel) const { return static_cast<float>(mean_[channel]); }
  float inverse_deviation(int channel) const {
    return 1 /
           std::sqrt(static_cast<float>(variance_[channel]) + parameter_.batch_norm_param().eps());
  }

  void read_running_stats();
  void join_looks();

  /// By part, then by channel.
  std::vector<Moments> looks_;
  std::vector<double> mean_;
  std::vector<double> variance_;
  /// Of dL/dy, and of it times y.
  ChannelSums sums_;
  ChannelSums products_;
};

}  // namespace vibnet
