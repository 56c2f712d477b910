#pragma once

#include <cstdint>
#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// TRAIN: zeroes each value with probability dropout_ratio and divides the others by 1 minus it.
/// TEST: passes values on (Caffe's Dropout). In place if asked.
class DropoutLayer : public Layer {
 public:
  using Layer::Layer;

  bool runs_in_place() const override { return true; }

  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override {
    if (!(ratio() >= 0 && ratio() < 1)) fail("dropout_ratio must be in [0, 1), not ", ratio());
  }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    return ChannelRule::pointwise(ChannelRule::Homogeneous::ALWAYS);
  }
  void reshape(const Blobs& bottom, const Blobs& top) override {
    top[0]->reshape_like(*bottom[0]);
    if (context_.phase == TRAIN) factor_.reshape_like(*bottom[0]);
  }

  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  float ratio() const { return parameter_.dropout_param().dropout_ratio(); }
  std::uint32_t first_sample(int samples) const {
    return static_cast<std::uint32_t>(context_.first_sample(context_.pass, samples));
  }

 private:
  void draw_factors();
  void multiply(const float* from, int count, float* to) const;

  Blob factor_;
};

}  // namespace vibnet
