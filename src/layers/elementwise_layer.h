#pragma once

#include <optional>

#include "layers/channelwise_layer.h"

namespace vibnet {

/// A layer that is one formula for each value alone, in place if asked.
///
/// `Formula` is made from the LayerParameter, or throws an Error, and has
///   float value(float x) const            y
///   float slope(float x, float y) const   dy/dx
/// for host and device, and
///   bool slope_reads_x() const            false where slope is right with y given for x too, so
///                                         that an in-place layer need not keep x
template <typename Formula>
class ElementwiseLayer : public ChannelwiseLayer {
 public:
  using ChannelwiseLayer::ChannelwiseLayer;

  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override {
    try {
      formula_.emplace(parameter_);
    } catch (const Error& error) {
      fail(error.what());
    }
  }

  bool is_uniform() const override { return true; }
  bool needs_x() const override { return formula_->slope_reads_x(); }
  bool needs_y() const override { return true; }

  void forward_block(const ChannelBlock& block, const float* x, float* y) override {
    const Formula formula = *formula_;
    for (int i = 0; i < block.count(); ++i) y[i] = formula.value(x[i]);
  }

  void backward_block(const ChannelBlock& block, const float* x, const float* y, const float* dy,
                      float* dx) override {
    const Formula formula = *formula_;
    for (int i = 0; i < block.count(); ++i) dx[i] = dy[i] * formula.slope(x[i], y[i]);
  }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    return ChannelRule::pointwise();
  }

 protected:
  const Formula& formula() const { return *formula_; }

 private:
  std::optional<Formula> formula_;
};

}  // namespace vibnet
