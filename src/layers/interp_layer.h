#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "vibnet/host_device.h"
#include "vibnet/layer.h"

namespace vibnet {

/// What an output is along one axis: (1 - part) * value `first` + part * value `second`.
struct Mix {
  int first, second;
  float part;
};

/// How Interp makes the values of one axis.
struct InterpAxis {
  VIBNET_HOST_DEVICE float step() const {
    return outputs > 1 ? static_cast<float>(size - 1) / static_cast<float>(outputs - 1) : 0;
  }
  VIBNET_HOST_DEVICE Mix mix(int output) const {
    const float at = step() * static_cast<float>(output);
    const int lower = std::min(static_cast<int>(at), size - 1);
    return {begin + lower, begin + std::min(lower + 1, size - 1), at - static_cast<float>(lower)};
  }

  /// The outputs that read a value are among these.
  VIBNET_HOST_DEVICE int first_reader(int value) const {
    if (step() == 0) return 0;
    return std::max(0, static_cast<int>(static_cast<float>(value - begin - 1) / step()) - 1);
  }
  VIBNET_HOST_DEVICE int last_reader(int value) const {
    if (step() == 0) return outputs - 1;
    return std::min(outputs - 1,
                    static_cast<int>(static_cast<float>(value - begin + 1) / step()) + 1);
  }
  /// What the output reads of the value.
  VIBNET_HOST_DEVICE float weight(int output, int value) const {
    const Mix m = mix(output);
    return (m.first == value ? 1 - m.part : 0) + (m.second == value ? m.part : 0);
  }

  /// The first value that is not left out, and how many there are.
  int begin = 0;
  int size = 1;
  int outputs = 1;
};

/// Resizes each plane by bilinear interpolation, corner pixel on corner pixel (DeepLab's Interp).
///
/// Bottom: N x C x H x W, of which -pad_beg rows and columns are left out at the beginning and
/// -pad_end at the end; top: N x C x H' x W'. The size is shrink_factor's, (size - 1) / factor + 1,
/// zoom_factor's, (size - 1) * factor + 1, height and width, or the shrunk one zoomed.
class InterpLayer : public Layer {
 public:
  using Layer::Layer;

  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 protected:
  const InterpParameter& parameter() const { return parameter_.interp_param(); }
  std::int64_t outputs() const { return std::int64_t{rows_.outputs} * columns_.outputs; }

  /// What is left of an axis after pad_beg and pad_end.
  int kept_of(int whole) const;
  int out_size(int size, int given) const;

  template <typename Body>
  void for_each_plane(const Blob& x, const Body& body) const;

  int height_ = 0;
  int width_ = 0;
  InterpAxis rows_;
  InterpAxis columns_;
};

}  // namespace vibnet
