#pragma once

#include <algorithm>
#include <cstddef>

#include "math/parallel.h"
#include "simd/kernels.h"

/// What a convolution through Winograd's transforms is made of.
namespace vibnet::winograd {

/// Filters that are worked on together: the columns of one product.
constexpr int kPanel = 2 * kLanes;

/// The most taps that a filter has for a channel.
constexpr int kMostTaps = 25;

/// Planes that are read or written tile by tile: samples x channels x height x width. A strip is
/// the tiles of `outputs` rows of one sample.
struct Tiling {
  int samples, channels, height, width;
  /// The planes' first row and column within the first tile.
  int pad_h, pad_w;
  /// Strips a sample, and tiles a strip.
  int down, across;

  std::ptrdiff_t plane() const { return std::ptrdiff_t{height} * width; }
  std::ptrdiff_t sample() const { return plane() * channels; }
  int strips() const { return samples * down; }
  int groups() const { return parts(channels, kLanes); }
};

/// Transformed tiles: elements x tiles x channels. The gaps keep the elements of a tile, and the
/// tiles of an element, from meeting in the same cache sets.
struct Transformed {
  float* values;
  std::ptrdiff_t tile;
  std::ptrdiff_t element;

  static std::ptrdiff_t tile_size(int channels) { return round_up_to_lanes(channels) + kLanes; }
  static std::ptrdiff_t element_size(int channels, int tiles) {
    return tile_size(channels) * tiles + kLanes;
  }
  Transformed(float* memory, int channels, int tiles)
      : values(memory), tile(tile_size(channels)), element(element_size(channels, tiles)) {}

  /// Element e of tile t.
  float* at(int e, int t) const { return values + e * element + t * tile; }
};

/// To the Winograd domain and back. `buffer`: strip_size() floats of the caller's.
class Steps {
 public:
  explicit Steps(const WinogradKernels& winograd) : winograd_(winograd) {}

  int elements() const { return winograd_.elements(); }
  int m() const { return winograd_.outputs; }

  /// Floats of a strip as the transforms take it.
  std::size_t strip_size(const Tiling& tiling) const;

  using Transform = void (*)(const float*, int, int, float*, std::ptrdiff_t, std::ptrdiff_t);

  /// Transforms the strips [begin, end), of `rows` rows each.
  void load(const float* planes, const Tiling& tiling, int begin, int end, int rows,
            Transform transform, float* buffer, const Transformed& to) const;

  /// The same on all threads, with a buffer for each, one behind the other.
  void share_load(const float* planes, const Tiling& tiling, int begin, int end, int rows,
                  Transform transform, float* buffers, const Transformed& to) const;

  /// Transforms the tiles of the strips [begin, end) back: the channels from `first` on, `count` of
  /// them, which are the first of `from`.
  void store(const Transformed& from, const Tiling& tiling, int begin, int end, int first,
             int count, const Epilogue& epilogue, float* buffer, float* planes) const;

  /// Floats of a sample's tiles, joined.
  std::size_t sample_size(const Tiling& tiling) const;
  /// Writes what the tiles of one sample, from `tile` on, give back to its planes: the channels
  /// from `first` on, `count` of them. `buffer`: sample_size() floats of the caller's.
  void give_back(const Transformed& from, int tile, const Tiling& tiling, int sample, int first,
                 int count, float* buffer, float* planes) const;

 private:
  /// Transforms kLanes channels of a strip to the tiles from `tile` on.
  void load_group(const float* planes, const Tiling& tiling, int strip, int group, int rows,
                  Transform transform, float* buffer, const Transformed& to, int tile) const;

  const WinogradKernels& winograd_;
};

/// Filters in the Winograd domain, in panels of kPanel: elements x depth x kPanel each.
struct FilterBank {
  const float* w;
  /// Of a filter: all that it has for a channel.
  int taps;
  int filters;
  int depth;
  /// Whether the filters are the channels of w, and whether they are turned about too.
  bool is_transposed;
  bool is_turned;

  int panels() const { return parts(filters, kPanel); }
  /// Of the panel.
  int columns(int panel) const { return std::min(kPanel, filters - panel * kPanel); }
  /// Floats of an element with so much depth, and of a panel.
  static std::ptrdiff_t element_size(int depth) { return std::ptrdiff_t{depth} * kPanel + kLanes; }
  std::size_t panel_size(int elements) const { return element_size(depth) * elements; }

  /// Transforms a panel's depths [begin, end) to u, whose elements are `element` floats apart.
  void transform(const WinogradKernels& winograd, int panel, int begin, int end, float* u,
                 std::ptrdiff_t element) const;

  /// Transforms all panels, one behind the other, on all threads.
  void transform_all(const WinogradKernels& winograd, float* u) const;

 private:
  /// The taps of kLanes filters at `count` depths: count x taps x kLanes.
  void gather(int filter, int d, int count, float* to) const;
};

}  // namespace vibnet::winograd
