#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Mixes the channels of `group` groups (ShuffleNet's ShuffleChannel): the first of each group,
/// then the second of each, and so on. Bottom and top: N x C x ..., the group dividing C.
class ShuffleChannelLayer : public Layer {
 public:
  using Layer::Layer;

  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  /// Calls body(a plane's offset in the bottom, and in the top).
  template <typename Body>
  void for_each_plane(const Body& body) const;

  int groups_ = 1;
  int channels_ = 0;
  int planes_ = 0;
  int size_ = 0;
};

}  // namespace vibnet
