#include "layers/interp_layer.h"

#include <algorithm>

#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

std::vector<Mix> mixes(const InterpAxis& axis) {
  std::vector<Mix> all;
  for (int i = 0; i < axis.outputs; ++i) all.push_back(axis.mix(i));
  return all;
}

}  // namespace

void InterpLayer::set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) {
  if (parameter().pad_beg() > 0 || parameter().pad_end() > 0)
    fail("pad_beg and pad_end only cut off: they must be 0 or less");
  if (parameter().shrink_factor() < 1 || parameter().zoom_factor() < 1)
    fail("shrink_factor and zoom_factor must be at least 1");
}

void InterpLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Blob& x = *bottom[0];
  if (x.axes() != 4) fail("works on N x C x H x W, and the bottom is ", to_string(x.shape()));
  height_ = x.shape(2);
  width_ = x.shape(3);
  const int out_height = out_size(kept_of(height_), parameter().height());
  const int out_width = out_size(kept_of(width_), parameter().width());
  top[0]->reshape({x.shape(0), x.shape(1), out_height, out_width});
  const int begin = -parameter().pad_beg();
  rows_ = {begin, kept_of(height_), out_height};
  columns_ = {begin, kept_of(width_), out_width};
}

ChannelRule InterpLayer::channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const {
  return ChannelRule::each(ChannelRule::Constants::SAME, ChannelRule::Homogeneous::ALWAYS);
}

void InterpLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  const std::vector<Mix> rows = mixes(rows_);
  const std::vector<Mix> columns = mixes(columns_);
  for_each_plane(*bottom[0], [&](std::int64_t plane) {
    const float* pixels = x + plane * height_ * width_;
    float* out = y + plane * outputs();
    for (const Mix& r : rows)
      for (const Mix& c : columns) {
        const float* upper = pixels + r.first * width_;
        const float* lower = pixels + r.second * width_;
        *out++ = (1 - r.part) * ((1 - c.part) * upper[c.first] + c.part * upper[c.second]) +
                 r.part * ((1 - c.part) * lower[c.first] + c.part * lower[c.second]);
      }
  });
}

void InterpLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                           const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* dy = top[0]->cpu_diff();
  bottom[0]->set_diff(0);
  float* dx = bottom[0]->mutable_cpu_diff();
  const std::vector<Mix> rows = mixes(rows_);
  const std::vector<Mix> columns = mixes(columns_);
  for_each_plane(*bottom[0], [&](std::int64_t plane) {
    const float* gradient = dy + plane * outputs();
    float* pixels = dx + plane * height_ * width_;
    for (const Mix& r : rows)
      for (const Mix& c : columns) {
        float* upper = pixels + r.first * width_;
        float* lower = pixels + r.second * width_;
        upper[c.first] += (1 - r.part) * (1 - c.part) * *gradient;
        upper[c.second] += (1 - r.part) * c.part * *gradient;
        lower[c.first] += r.part * (1 - c.part) * *gradient;
        lower[c.second] += r.part * c.part * *gradient++;
      }
  });
}

int InterpLayer::kept_of(int whole) const {
  const std::int64_t kept = std::int64_t{whole} + parameter().pad_beg() + parameter().pad_end();
  if (kept < 1) fail("nothing is left of an axis of ", whole, " after pad_beg and pad_end");
  return static_cast<int>(kept);
}

int InterpLayer::out_size(int size, int given) const {
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

template <typename Body>
void InterpLayer::for_each_plane(const Blob& x, const Body& body) const {
  parallel_for(x.count(0, 2), grain_of(8 * outputs()), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) body(plane);
  });
}

REGISTER_LAYER(Interp, CPU, InterpLayer);

}  // namespace vibnet
