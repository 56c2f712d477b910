#pragma once

#include <vector>

#include "layers/windowed_layer.h"

namespace vibnet {

/// Unfolds each sample into what a convolution's window sees (Caffe's Im2col, which takes a
/// convolution_param).
///
/// Bottom: ... x C x spatial axes, the channels at `axis`; top: ... x C * kernel values x the
/// window's places.
class Im2colLayer : public WindowedLayer {
 public:
  using WindowedLayer::WindowedLayer;

  void set_up(const Blobs& bottom, const Blobs& /*top*/) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  /// Throws Error where an int cannot count the columns' values.
  void check_columns() const;

  /// Calls body(its picture's offset, its columns' offset) for every sample.
  template <typename Body>
  void for_each_sample(const Blobs& bottom, const Blobs& top, const Body& body) const;

  int samples_ = 0;
};

}  // namespace vibnet
