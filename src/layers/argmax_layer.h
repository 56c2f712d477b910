#pragma once

#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Where the top_k largest values stand, the largest first and of equals the last (Caffe's ArgMax).
///
/// With `axis` the top has the bottom's shape with top_k in that axis, and holds indices, or with
/// out_max_val values. Without it the axes from 1 on are one, and the top is N x 1 x top_k indices,
/// or with out_max_val N x 2 x top_k, indices and values, and as many axes as the bottom where that
/// has more. It has no gradient.
class ArgMaxLayer : public Layer {
 public:
  using Layer::Layer;

  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;

 protected:
  /// Whether the top holds indices and values.
  bool has_both() const;
  void rank(const float* x, std::vector<std::pair<float, int>>* ranked) const;

  int outer_ = 0;
  int values_ = 0;
  int inner_ = 0;
  int top_k_ = 1;
};

}  // namespace vibnet
