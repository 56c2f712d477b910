#pragma once

#include "layers/channelwise_layer.h"

namespace vibnet {

/// What Scale and Bias share: an operand, second bottom or parameter, whose axes are those of x
/// from an axis on, and which is broadcast over x's others. Its values are the layout's channels.
class BroadcastLayer : public ChannelwiseLayer {
 public:
  using ChannelwiseLayer::ChannelwiseLayer;

  BlobCount bottom_count() const override { return {1, 2}; }

 protected:
  /// The shape of an operand that is a parameter: num_axes of x's axes, or all of them for -1.
  Shape operand_shape(const Blob& x, int axis, int num_axes) const;
  /// Lays x out around the operand. `what` names the operand in the Error where it does not fit.
  void place(const Blob& x, const Blob& operand, int axis, const char* what);
};

}  // namespace vibnet
