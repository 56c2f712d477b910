#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Cuts the first bottom to the second's sizes, from `axis` on (Caffe's Crop). `offset`, one for
/// all these axes or one for each, says where the cut begins; 0 if not given. The second bottom
/// has no gradient.
class CropLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {2, 2}; }
  bool has_gradient(int bottom) const override { return bottom == 0; }
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& bottom, const Blobs& /*top*/) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  const CropParameter& parameter() const { return parameter_.crop_param(); }
  int offset(int index) const;

  /// Calls body(the first bottom's index, the top's, values) for every row of the last axis.
  template <typename Body>
  void for_each_row(int count, const Body& body) const;

  Shape whole_;
  Shape cut_;
  std::vector<int> offsets_;
};

}  // namespace vibnet
