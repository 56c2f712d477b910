#include "layers/channel_pass.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "layers/gate_layer.h"
#include "layers/relu_layer.h"
#include "math/parallel.h"
#include "math/scratch.h"

namespace vibnet {
namespace {

/// Values of a block: so few that those of several layers stay in a first-level cache.
constexpr int kBlock = 1024;
/// Planes of fewer values are gathered, so that loops over a block are worth their start: so many
/// values that stand side by side, of as many samples as make a tile.
constexpr int kRun = 128;
constexpr int kTile = 2048;

/// What a ReLU multiplies by below 0.
std::optional<float> relu_slope(const ChannelwiseLayer& layer) {
  const auto* relu = dynamic_cast<const ReLULayer*>(&layer);
  return relu == nullptr ? std::nullopt : std::optional(relu->negative_slope());
}

/// Layers that a pass on the GPU takes, which has kernels for each number.
constexpr std::size_t kMostOnGpu = 5;

ChannelPassFactory& gpu_factory() {
  static ChannelPassFactory factory = nullptr;
  return factory;
}

}  // namespace

ChannelLayout ChannelPass::layout(const Blobs& bottom) const {
  const auto layer = std::find_if(layers_.begin(), layers_.end(),
                                  [](const auto* some) { return !some->is_uniform(); });
  return layer != layers_.end() ? (*layer)->layout() : ChannelLayout{1, 1, bottom[0]->count()};
}

/// A kernel draws for one gate.
bool may_join(const Device& device, const std::vector<ChannelwiseLayer*>& pass,
              ChannelwiseLayer* next) {
  if (device.type == DeviceType::CPU) return true;
  const auto is_gate = [](ChannelwiseLayer* layer) {
    return dynamic_cast<GateLayer*>(layer) != nullptr;
  };
  if (next->gpu_member() == nullptr || pass.size() == kMostOnGpu) return false;
  return !is_gate(next) || std::none_of(pass.begin(), pass.end(), is_gate);
}

std::unique_ptr<ChannelPass> make_channel_pass(const Device& device,
                                               std::vector<ChannelwiseLayer*> layers) {
  if (device.type == DeviceType::GPU) return gpu_factory()(std::move(layers));
  return std::make_unique<ChannelPassCPU>(std::move(layers));
}

bool register_gpu_channel_pass(ChannelPassFactory factory) {
  gpu_factory() = factory;
  return true;
}

/// Some channels, samples and values of a layout.
struct ChannelPassCPU::Tile {
  ChannelLayout layout;
  int first_channel;
  int channels;
  int first_sample;
  int samples;
  int first_value;
  int values;
  int part;

  int channel_count() const { return samples * values; }
  int count() const { return channels * channel_count(); }
  ChannelBlock block(int channel) const {
    return {first_channel + channel, first_sample, samples, values, first_value, part};
  }
  /// Whether memory holds the tile as a block: then it is not gathered.
  bool is_block() const { return channels == 1 && (samples == 1 || layout.channels == 1); }
  std::ptrdiff_t offset(int channel, int sample) const {
    const std::ptrdiff_t plane =
        std::ptrdiff_t{first_sample + sample} * layout.channels + first_channel + channel;
    return plane * layout.values + first_value;
  }

  /// The tile's blocks, a channel's behind the other's: in place, or copied to `buffer`.
  const float* gather(const float* from, float* buffer) const {
    if (is_block()) return from + offset(0, 0);
    for (int n = 0; n < samples; ++n)
      for (int c = 0; c < channels; ++c) {
        const float* values_of = from + offset(c, n);
        float* to = buffer + (c * samples + n) * values;
        for (int s = 0; s < values; ++s) to[s] = values_of[s];
      }
    return buffer;
  }
  void scatter(const float* blocks, float* to) const {
    if (is_block()) return;
    for (int n = 0; n < samples; ++n)
      for (int c = 0; c < channels; ++c) {
        const float* values_of = blocks + (c * samples + n) * values;
        float* at = to + offset(c, n);
        for (int s = 0; s < values; ++s) at[s] = values_of[s];
      }
  }
  /// Where blocks are to be written that scatter takes next.
  float* target(float* to, float* buffer) const { return is_block() ? to + offset(0, 0) : buffer; }
};

/// How a layout is cut: into groups of channels that make a run, and these into tiles.
class ChannelPassCPU::Tiling {
 public:
  explicit Tiling(const ChannelLayout& layout) : layout_(layout) {
    const int plane = std::max(1, layout.values);
    channels_ = std::clamp(kRun / plane, 1, std::max(1, layout.channels));
    samples_ = plane >= kRun ? 1 : kTile / (channels_ * plane);
    values_ = std::min(plane, kBlock);
  }

  int groups() const {
    return layout_.values == 0 ? 0 : vibnet::parts(layout_.channels, channels_);
  }
  /// Tiles of a group that hold the same samples.
  int pieces() const { return vibnet::parts(layout_.values, values_); }
  /// Tiles of a group that hold different samples.
  int parts() const { return vibnet::parts(layout_.samples, samples_); }
  int tiles() const { return parts() * pieces(); }
  int tile_size() const { return channels_ * samples_ * values_; }

  Tile tile(int group, int index) const {
    const int c = group * channels_;
    const int n = index / pieces() * samples_;
    const int s = index % pieces() * values_;
    return {layout_,
            c,
            std::min(channels_, layout_.channels - c),
            n,
            std::min(samples_, layout_.samples - n),
            s,
            std::min(values_, layout_.values - s),
            index / pieces()};
  }

 private:
  ChannelLayout layout_;
  int channels_;
  int samples_;
  int values_;
};

/// Calls body(tile) for each, on all threads. A thread gets all tiles of some samples, as it does
/// from other layers, so that its core has them at hand.
template <typename Body>
void ChannelPassCPU::for_each_tile(const Tiling& tiling, const Body& body) const {
  if (tiling.groups() == 0) return;
  const int together = is_elementwise() ? 1 : tiling.pieces();  // sums of a plane are in order
  const std::int64_t groups = tiling.groups();
  parallel_for(groups * (tiling.tiles() / together),
               grain_of(std::int64_t{together} * tiling.tile_size()),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t job = begin; job < end; ++job)
                   for (int piece = 0; piece < together; ++piece)
                     body(tiling.tile(static_cast<int>(job % groups),
                                      static_cast<int>(job / groups) * together + piece));
               });
}

bool ChannelPassCPU::is_elementwise() const {
  return std::all_of(layers_.begin(), layers_.end(),
                     [](const auto* layer) { return layer->is_elementwise(); });
}

ChannelPassCPU::Tiling ChannelPassCPU::tiling(const Blobs& bottom) const {
  return Tiling(is_elementwise() ? ChannelLayout{1, 1, bottom[0]->count()} : layout(bottom));
}

void ChannelPassCPU::look_at(const Tile& tile, const float* x) {
  const float* blocks = tile.gather(x, scratch(tile.count()));
  for (int c = 0; c < tile.channels; ++c)
    layers_[0]->look(tile.block(c), blocks + c * tile.channel_count());
}

void ChannelPassCPU::forward_tile(const Tile& tile, const float* x, float* y) {
  float* buffer = scratch(tile.count());
  const float* from = tile.gather(x, buffer);
  float* to = tile.target(y, buffer);
  for (int c = 0; c < tile.channels; ++c) {
    const std::ptrdiff_t begin = std::ptrdiff_t{c} * tile.channel_count();
    layers_[0]->forward_block(tile.block(c), from + begin, to + begin);
    for (std::size_t i = 1; i < layers_.size(); ++i)
      layers_[i]->forward_block(tile.block(c), to + begin, to + begin);
  }
  tile.scatter(to, y);
}

bool ChannelPassCPU::runs_by_planes() const {
  if (!layers_.back()->runs_by_planes() || layers_.size() > 2) return false;
  return layers_.size() == 1 || relu_slope(*layers_[0]).value_or(-1) >= 0;
}

float ChannelPassCPU::slope() const { return layers_.size() == 1 ? 1 : *relu_slope(*layers_[0]); }

bool ChannelPassCPU::inverts() const { return runs_by_planes() && layers_.back()->inverts(); }

void ChannelPassCPU::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  float* y = top[0]->mutable_cpu_data();
  if (runs_by_planes()) return layers_.back()->forward_planes(slope(), x, y);
  for (ChannelwiseLayer* layer : layers_) layer->begin_forward(bottom);
  const Tiling tiling = this->tiling(bottom);
  if (layers_[0]->looks()) {
    layers_[0]->begin_looks(tiling.parts());
    for_each_tile(tiling, [&](const Tile& tile) { look_at(tile, x); });
    layers_[0]->end_looks();
  }
  for_each_tile(tiling, [&](const Tile& tile) { forward_tile(tile, x, y); });
  for (ChannelwiseLayer* layer : layers_) layer->end_forward();
}

void ChannelPassCPU::backward_tile(const Tile& tile, const float* x, const float* y,
                                   const float* dy, float* dx) {
  const int last = static_cast<int>(layers_.size()) - 1;
  float* x_buffer = scratch(std::size_t{3} * tile.count() +
                            std::size_t(last) * static_cast<std::size_t>(tile.channel_count()));
  float* y_buffer = x_buffer + tile.count();
  float* d_buffer = y_buffer + tile.count();
  float* between = d_buffer + tile.count();
  const float* x_blocks = tile.gather(x, x_buffer);
  const float* y_blocks = layers_[last]->needs_y() ? tile.gather(y, y_buffer) : nullptr;
  const float* dy_blocks = tile.gather(dy, d_buffer);
  float* dx_blocks = dx == nullptr ? d_buffer : tile.target(dx, d_buffer);
  for (int c = 0; c < tile.channels; ++c) {
    const ChannelBlock block = tile.block(c);
    const std::ptrdiff_t begin = std::ptrdiff_t{c} * tile.channel_count();
    const float* y_block = y_blocks == nullptr ? nullptr : y_blocks + begin;
    const float* d = dy_blocks + begin;
    const auto after = [&](int layer) { return between + layer * block.count(); };
    const auto before = [&](int layer) { return layer == 0 ? x_blocks + begin : after(layer - 1); };
    for (int i = 0; i < last; ++i) layers_[i]->forward_block(block, before(i), after(i));
    for (int i = last; i >= 0; --i) {
      layers_[i]->backward_block(block, before(i), i == last ? y_block : after(i), d,
                                 dx_blocks + begin);
      d = dx_blocks + begin;
    }
  }
  if (dx != nullptr) tile.scatter(dx_blocks, dx);
}

void ChannelPassCPU::finish_tile(const Tile& tile, const float* x, float* dx) {
  float* x_buffer = scratch(std::size_t{2} * tile.count());
  float* d_buffer = x_buffer + tile.count();
  const float* x_blocks = tile.gather(x, x_buffer);
  tile.gather(dx, d_buffer);
  float* dx_blocks = tile.target(dx, d_buffer);
  for (int c = 0; c < tile.channels; ++c) {
    const std::ptrdiff_t begin = std::ptrdiff_t{c} * tile.channel_count();
    layers_[0]->finish_block(tile.block(c), x_blocks + begin, dx_blocks + begin);
  }
  tile.scatter(dx_blocks, dx);
}

void ChannelPassCPU::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                              const Blob& x_blob, const Blobs& bottom) {
  const float* x = x_blob.cpu_data();
  const float* y = top[0]->cpu_data();
  const float* dy = top[0]->cpu_diff();
  float* dx = propagate_down[0] ? bottom[0]->mutable_cpu_diff() : nullptr;
  if (runs_by_planes()) {
    layers_.back()->backward_planes(slope(), x == y ? nullptr : x, y, dy, dx);
    return layers_.back()->end_backward(propagate_down, bottom);
  }
  const Tiling tiling = this->tiling(bottom);
  for (ChannelwiseLayer* layer : layers_) layer->begin_backward(tiling.parts());
  for_each_tile(tiling, [&](const Tile& tile) { backward_tile(tile, x, y, dy, dx); });
  if (dx != nullptr && layers_[0]->finishes_blocks()) {
    layers_[0]->end_sums();
    for_each_tile(tiling, [&](const Tile& tile) { finish_tile(tile, x, dx); });
  }
  for (std::size_t i = 0; i < layers_.size(); ++i)
    layers_[i]->end_backward(i == 0 ? propagate_down : std::vector<bool>{true}, bottom);
}

}  // namespace vibnet
