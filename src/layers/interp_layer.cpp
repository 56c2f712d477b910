#include <algorithm>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Resizes each plane by bilinear interpolation, corner pixel on corner pixel (DeepLab's Interp).
///
/// Bottom: N x C x H x W, of which -pad_beg rows and columns are left out at the beginning and
/// -pad_end at the end; top: N x C x H' x W'. The size is shrink_factor's, (size - 1) / factor + 1,
/// zoom_factor's, (size - 1) * factor + 1, height and width, or the shrunk one zoomed.
class InterpLayer : public Layer {
 public:
  using Layer::Layer;

  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override {
    if (parameter().pad_beg() > 0 || parameter().pad_end() > 0)
      fail("pad_beg and pad_end only cut off: they must be 0 or less");
    if (parameter().shrink_factor() < 1 || parameter().zoom_factor() < 1)
      fail("shrink_factor and zoom_factor must be at least 1");
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    const Blob& x = *bottom[0];
    if (x.axes() != 4) fail("works on N x C x H x W, and the bottom is ", to_string(x.shape()));
    height_ = x.shape(2);
    width_ = x.shape(3);
    const int out_height = out_size(kept_of(height_), parameter().height());
    const int out_width = out_size(kept_of(width_), parameter().width());
    top[0]->reshape({x.shape(0), x.shape(1), out_height, out_width});
    rows_ = mix_along(kept_of(height_), out_height);
    columns_ = mix_along(kept_of(width_), out_width);
  }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    return ChannelRule::each(ChannelRule::Constants::SAME, ChannelRule::Homogeneous::ALWAYS);
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const float* x = bottom[0]->cpu_data();
    float* y = top[0]->mutable_cpu_data();
    for_each_plane(*bottom[0], [&](std::int64_t plane) {
      const float* pixels = x + plane * height_ * width_;
      float* out = y + plane * outputs();
      for (const Mix& r : rows_)
        for (const Mix& c : columns_) {
          const float* upper = pixels + r.first * width_;
          const float* lower = pixels + r.second * width_;
          *out++ = (1 - r.part) * ((1 - c.part) * upper[c.first] + c.part * upper[c.second]) +
                   r.part * ((1 - c.part) * lower[c.first] + c.part * lower[c.second]);
        }
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const float* dy = top[0]->cpu_diff();
    bottom[0]->set_diff(0);
    float* dx = bottom[0]->mutable_cpu_diff();
    for_each_plane(*bottom[0], [&](std::int64_t plane) {
      const float* gradient = dy + plane * outputs();
      float* pixels = dx + plane * height_ * width_;
      for (const Mix& r : rows_)
        for (const Mix& c : columns_) {
          float* upper = pixels + r.first * width_;
          float* lower = pixels + r.second * width_;
          upper[c.first] += (1 - r.part) * (1 - c.part) * *gradient;
          upper[c.second] += (1 - r.part) * c.part * *gradient;
          lower[c.first] += r.part * (1 - c.part) * *gradient;
          lower[c.second] += r.part * c.part * *gradient++;
        }
    });
  }

 private:
  /// What an output is along one axis: (1 - part) * value `first` + part * value `second`.
  struct Mix {
    int first, second;
    float part;
  };

  const InterpParameter& parameter() const { return parameter_.interp_param(); }
  std::int64_t outputs() const { return 1LL * rows_.size() * columns_.size(); }

  /// What is left of an axis after pad_beg and pad_end.
  int kept_of(int whole) const {
    const std::int64_t kept = std::int64_t{whole} + parameter().pad_beg() + parameter().pad_end();
    if (kept < 1) fail("nothing is left of an axis of ", whole, " after pad_beg and pad_end");
    return static_cast<int>(kept);
  }

  int out_size(int size, int given) const {
    const InterpParameter& p = parameter();
    const bool by_size = p.has_height() && p.has_width();
    if (!p.has_shrink_factor() && !p.has_zoom_factor() && !by_size)
      fail("needs height and width, zoom_factor or shrink_factor");
    std::int64_t out = given;
    if (p.has_shrink_factor() != p.has_zoom_factor() || !by_size)
      out = std::int64_t{size - 1} / p.shrink_factor() * p.zoom_factor() + 1;
    if (out < 1) fail("height and width must be at least 1");
    constexpr std::int64_t kBeyondAnySize = 1LL << 31;
    return size_of("the top's size", static_cast<std::uint32_t>(std::min(out, kBeyondAnySize)));
  }

  std::vector<Mix> mix_along(int size, int out) const {
    const float step = out > 1 ? static_cast<float>(size - 1) / static_cast<float>(out - 1) : 0;
    std::vector<Mix> mixes;
    for (int i = 0; i < out; ++i) {
      const float at = step * static_cast<float>(i);
      const int lower = std::min(static_cast<int>(at), size - 1);
      const int first = lower - parameter().pad_beg();
      mixes.push_back({first, lower < size - 1 ? first + 1 : first, at - lower});
    }
    return mixes;
  }

  template <typename Body>
  void for_each_plane(const Blob& x, const Body& body) const {
    parallel_for(x.count(0, 2), grain_of(8 * outputs()), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t plane = begin; plane < end; ++plane) body(plane);
    });
  }

  int height_ = 0;
  int width_ = 0;
  std::vector<Mix> rows_;
  std::vector<Mix> columns_;
};

REGISTER_LAYER(Interp, CPU, InterpLayer);

}  // namespace vibnet
