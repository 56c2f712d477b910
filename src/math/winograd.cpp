#include "math/winograd.h"

#include <omp.h>

#include <algorithm>

#include "math/parallel.h"
#include "math/scratch.h"

namespace vibnet {
namespace {

/// Filters that are worked on together: the columns of one product.
constexpr int kPanel = 2 * kLanes;
/// Floats of transformed tiles, and of transformed weights, that the caches hold.
constexpr std::size_t kTileFloats = 1 << 20;
constexpr std::size_t kWeightFloats = 1 << 20;

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

/// Transformed tiles of one block of strips: elements x tiles x channels. The gaps keep the
/// elements of a tile, and the tiles of an element, from meeting in the same cache sets.
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
};

/// The part of rows or columns [first, first + count) that lies within [0, size).
struct Inside {
  int begin, end;
  Inside(int first, int count, int size)
      : begin(std::clamp(-first, 0, count)), end(std::clamp(size - first, 0, count)) {}
};

/// The steps that all three products are made of.
class Steps {
 public:
  explicit Steps(const WinogradKernels& winograd) : winograd_(winograd) {}

  int elements() const { return winograd_.elements(); }
  int m() const { return winograd_.outputs; }

  /// Floats of a strip with `rows` rows.
  static std::size_t strip_size(int width, int rows) {
    return static_cast<std::size_t>(width) * rows * kLanes;
  }

  using Transform = void (*)(const float*, int, int, float*, std::ptrdiff_t, std::ptrdiff_t);

  /// Transforms the tiles, of `rows` rows each, of the strips [begin, end).
  void load(const float* planes, const Tiling& tiling, int begin, int end, int rows,
            Transform transform, float* strips, const Transformed& to) const {
    const int width = tiling.across * m() + rows - m();
    const int groups = tiling.groups();
    parallel_jobs((end - begin) * groups, [&](int job, int thread) {
      const int strip = begin + job / groups;
      const int channel = job % groups * kLanes;
      const int count = std::min(kLanes, tiling.channels - channel);
      const int first_row = strip % tiling.down * m() - tiling.pad_h;
      const std::ptrdiff_t plane = tiling.plane();
      const float* from = planes + strip / tiling.down * tiling.sample() + channel * plane;
      float* buffer = strips + thread * strip_size(width, rows);
      const Inside down(first_row, rows, tiling.height);
      const Inside across(-tiling.pad_w, width, tiling.width);
      for (int row = 0; row < rows; ++row) {
        float* line = buffer + strip_size(width, row);
        if (row < down.begin || row >= down.end) {
          std::fill_n(line, width * kLanes, 0.0f);
          continue;
        }
        std::fill(line, line + across.begin * kLanes, 0.0f);
        kernels().interleave(from + (first_row + row) * tiling.width + across.begin - tiling.pad_w,
                             plane, count, across.end - across.begin, line + across.begin * kLanes);
        std::fill(line + across.end * kLanes, line + width * kLanes, 0.0f);
      }
      transform(buffer, width, tiling.across,
                to.values + (strip - begin) * tiling.across * to.tile + channel, to.element,
                to.tile);
    });
  }

  /// Transforms the tiles of the strips [begin, end) back: the channels from `first` on, `count` of
  /// them, which are the first of `from`.
  void store(const Transformed& from, const Tiling& tiling, int begin, int end, int first,
             int count, const float* bias, float* strips, float* planes) const {
    const int width = tiling.across * m();
    const int groups = parts(count, kLanes);
    parallel_jobs((end - begin) * groups, [&](int job, int thread) {
      const int strip = begin + job / groups;
      const int channel = job % groups * kLanes;
      float* buffer = strips + thread * strip_size(width, m());
      winograd_.transform_output(
          from.values + (strip - begin) * tiling.across * from.tile + channel, from.element,
          from.tile, tiling.across, buffer, width);
      const int first_row = strip % tiling.down * m();
      const std::ptrdiff_t plane = tiling.plane();
      float* to = planes + strip / tiling.down * tiling.sample() + (first + channel) * plane;
      for (int row = 0; row < std::min(m(), tiling.height - first_row); ++row)
        kernels().deinterleave(buffer + strip_size(width, row), tiling.width,
                               bias == nullptr ? nullptr : bias + first + channel,
                               to + (first_row + row) * tiling.width, plane,
                               std::min(kLanes, count - channel));
    });
  }

 private:
  const WinogradKernels& winograd_;
};

/// Filters in the Winograd domain, in panels of kPanel: elements x depth x kPanel each.
struct FilterBank {
  const float* w;
  int filters;
  int depth;
  /// Whether the filters are the channels of w, turned about: what backward convolves with.
  bool is_transposed;

  int panels() const { return parts(filters, kPanel); }
  std::ptrdiff_t element() const { return std::ptrdiff_t{depth} * kPanel + kLanes; }
  std::size_t panel_size(int elements) const { return element() * elements; }

  /// The taps of kLanes filters at one depth: 9 x kLanes.
  void gather(int filter, int d, float* taps) const {
    const int count = std::min(kLanes, filters - filter);
    if (!is_transposed)
      return kernels().interleave(w + (std::ptrdiff_t{filter} * depth + d) * 9,
                                  std::ptrdiff_t{depth} * 9, count, 9, taps);
    float forward[9 * kLanes];
    kernels().interleave(w + (std::ptrdiff_t{d} * filters + filter) * 9, 9, count, 9, forward);
    for (int tap = 0; tap < 9; ++tap)
      std::copy_n(forward + (8 - tap) * kLanes, kLanes, taps + tap * kLanes);
  }

  /// Transforms the panels [begin, end) to u.
  void transform(const WinogradKernels& winograd, int begin, int end, float* u) const {
    constexpr int kDepths = 16;
    const std::size_t size = panel_size(winograd.elements());
    const int chunks = parts(depth, kDepths);
    parallel_jobs((end - begin) * chunks, [&](int job, int /*thread*/) {
      const int panel = begin + job / chunks;
      float taps[9 * kLanes];
      for (int half = 0; half < kPanel; half += kLanes) {
        const int filter = panel * kPanel + half;
        if (filter >= filters) break;
        for (int d = job % chunks * kDepths; d < std::min(depth, (job % chunks + 1) * kDepths);
             ++d) {
          gather(filter, d, taps);
          winograd.transform_weights(taps, u + (panel - begin) * size + d * kPanel + half,
                                     element());
        }
      }
    });
  }
};

/// How many strips, and panels of filters, are worked on at a time.
struct Blocks {
  int strips;
  int panels;
};

Blocks blocks_of(const Tiling& tiling, std::size_t floats_per_strip, std::size_t floats_per_panel,
                 int panels) {
  const std::size_t tile_floats = std::max(kTileFloats, floats_per_panel * panels / 2);
  const int strips = static_cast<int>(
      std::clamp<std::size_t>(tile_floats / floats_per_strip, 1, std::max(1, tiling.strips())));
  if (strips < tiling.strips()) return {strips, panels};
  return {strips,
          static_cast<int>(std::clamp<std::size_t>(kWeightFloats / floats_per_panel, 1, panels))};
}

/// Strips of the maps, or of the results, for tiles of m x m results.
Tiling tiling_of(const Convolution& c, int channels, int height, int width, int pad_h, int pad_w,
                 int result_height, int result_width, int m) {
  return {c.samples,
          channels,
          height,
          width,
          pad_h,
          pad_w,
          parts(result_height, m),
          parts(result_width, m)};
}

/// The maps, in the tiles that m x m results each are made of.
Tiling map_tiling(const Convolution& c, int m) {
  const WindowAxis& rows = c.window.axes[0];
  const WindowAxis& columns = c.window.axes[1];
  return tiling_of(c, c.window.channels, rows.size, columns.size, rows.pad, columns.pad,
                   rows.outputs(), columns.outputs(), m);
}

Tiling result_tiling(const Convolution& c, int m) {
  const int height = c.window.axes[0].outputs();
  const int width = c.window.axes[1].outputs();
  return tiling_of(c, c.filters, height, width, 0, 0, height, width, m);
}

/// The convolution of the results' gradients that gives the maps': by the filters turned about.
Convolution turned(const Convolution& c) {
  Convolution turned = c;
  turned.filters = c.window.channels;
  turned.window.channels = c.filters;
  for (WindowAxis& axis : turned.window.axes) {
    axis.size = axis.outputs();
    axis.pad = 2 - axis.pad;
  }
  return turned;
}

/// Convolves maps x with the bank's filters to results y. `ready`: the bank's panels, transformed;
/// null where that is still to be done.
void convolve(const WinogradKernels& winograd, const Convolution& convolution, const float* x,
              const FilterBank& bank, const float* ready, const float* bias, float* y) {
  const Steps steps(winograd);
  const Tiling input = map_tiling(convolution, winograd.outputs);
  const Tiling output = result_tiling(convolution, winograd.outputs);
  const int elements = steps.elements();
  const std::size_t panel_size = bank.panel_size(elements);
  const int outputs = bank.panels() * kPanel;
  const Blocks blocks =
      blocks_of(input,
                std::size_t{1} * elements * input.across *
                    (Transformed::tile_size(input.channels) + Transformed::tile_size(outputs)),
                panel_size, bank.panels());
  const int tiles = blocks.strips * input.across;
  const int block_outputs = blocks.panels * kPanel;
  const int threads = omp_get_max_threads();
  const std::size_t v_size = elements * Transformed::element_size(input.channels, tiles);
  const std::size_t m_size = elements * Transformed::element_size(block_outputs, tiles);
  const std::size_t u_size = ready == nullptr ? panel_size * blocks.panels : 0;
  const std::size_t strip_size =
      Steps::strip_size(input.across * steps.m() + 2, winograd.inputs) * threads;
  float* memory = scratch(v_size + m_size + u_size + strip_size);
  const Transformed v(memory, input.channels, tiles);
  const Transformed m(memory + v_size, block_outputs, tiles);
  float* u = memory + v_size + m_size;
  float* strips = u + u_size;

  for (int begin = 0; begin < input.strips(); begin += blocks.strips) {
    const int end = std::min(begin + blocks.strips, input.strips());
    const int rows = (end - begin) * input.across;
    steps.load(x, input, begin, end, winograd.inputs, winograd.transform_input, strips, v);
    for (int panel = 0; panel < bank.panels(); panel += blocks.panels) {
      const int panels = std::min(blocks.panels, bank.panels() - panel);
      const bool transforms = ready == nullptr && (begin == 0 || blocks.panels < bank.panels());
      if (transforms) bank.transform(winograd, panel, panel + panels, u);
      const float* from = ready == nullptr ? u : ready + panel * panel_size;
      parallel_jobs(panels * elements, [&](int job, int /*thread*/) {
        const int p = job / elements;
        const int e = job % elements;
        const int columns = std::min(kPanel, bank.filters - (panel + p) * kPanel);
        kernels().multiply({rows, round_up_to_lanes(columns), bank.depth, v.values + e * v.element,
                            v.tile, 1, from + p * panel_size + e * bank.element(), kPanel,
                            m.values + e * m.element + p * kPanel, m.tile, false});
      });
      steps.store(m, output, begin, end, panel * kPanel,
                  std::min(panels * kPanel, bank.filters - panel * kPanel), bias, strips, y);
    }
  }
}

}  // namespace

bool Winograd::takes(const Convolution& c) {
  return c.groups == 1 && c.window.axes.size() == 2 &&
         std::all_of(c.window.axes.begin(), c.window.axes.end(), [](const WindowAxis& axis) {
           return axis.kernel == 3 && axis.stride == 1 && axis.dilation == 1 && axis.pad <= 2;
         });
}

Winograd::Winograd(const Convolution& convolution, int outputs_per_tile)
    : convolution_(convolution),
      kernels_(outputs_per_tile == 2 ? kernels().winograd2 : kernels().winograd4) {}

void Winograd::forward(const float* maps, const float* weights, const float* bias,
                       float* results) const {
  convolve(kernels_, convolution_, maps, {weights, filters(), channels(), false}, nullptr, bias,
           results);
}

void Winograd::forward_prepared(const float* maps, const float* prepared, const float* bias,
                                float* results) const {
  convolve(kernels_, convolution_, maps, {nullptr, filters(), channels(), false}, prepared, bias,
           results);
}

void Winograd::backward_data(const float* results, const float* weights, float* maps) const {
  convolve(kernels_, turned(convolution_), results, {weights, channels(), filters(), true}, nullptr,
           nullptr, maps);
}

std::size_t Winograd::prepared_size() const {
  const FilterBank bank{nullptr, filters(), channels(), false};
  return bank.panel_size(kernels_.elements()) * bank.panels();
}

void Winograd::prepare(const float* weights, float* prepared) const {
  const FilterBank bank{weights, filters(), channels(), false};
  bank.transform(kernels_, 0, bank.panels(), prepared);
}

void Winograd::backward_weights(const float* maps, const float* results, float* weights) const {
  const Steps steps(kernels_);
  const int m = steps.m();
  const int elements = steps.elements();
  const Tiling input = map_tiling(convolution_, m);
  const Tiling output = result_tiling(convolution_, m);
  const int padded_channels = round_up_to_lanes(input.channels);
  // du, in panels of kPanel filters: elements x kPanel x padded_channels each.
  const std::ptrdiff_t du_element = std::ptrdiff_t{kPanel} * padded_channels + kLanes;
  const std::size_t panel_size = du_element * elements;
  const int panels = parts(filters(), kPanel);
  const Blocks blocks =
      blocks_of(input,
                std::size_t{1} * elements * input.across *
                    (Transformed::tile_size(input.channels) + Transformed::tile_size(filters())),
                panel_size, panels);
  const int tiles = blocks.strips * input.across;
  const std::size_t v_size = elements * Transformed::element_size(input.channels, tiles);
  const std::size_t g_size = elements * Transformed::element_size(filters(), tiles);
  const std::size_t u_size = panel_size * blocks.panels;
  const std::size_t strip_size =
      Steps::strip_size(input.across * m + 2, kernels_.inputs) * omp_get_max_threads();
  float* memory = scratch(v_size + g_size + u_size + strip_size);
  const Transformed v(memory, input.channels, tiles);
  const Transformed g(memory + v_size, filters(), tiles);
  float* u = memory + v_size + g_size;
  float* strips = u + u_size;

  const auto add_panels = [&](int panel, int count) {
    const int groups = padded_channels / kLanes;
    parallel_jobs(count * kPanel, [&](int job, int /*thread*/) {
      const int filter = panel * kPanel + job;
      if (filter >= filters()) return;
      for (int group = 0; group < groups; ++group) {
        float taps[9 * kLanes];
        kernels_.transform_weight_gradient(
            u + job / kPanel * panel_size + job % kPanel * padded_channels + group * kLanes,
            du_element, taps);
        const int channel = group * kLanes;
        float* to = weights + (std::ptrdiff_t{filter} * input.channels + channel) * 9;
        for (int i = 0; i < std::min(kLanes, input.channels - channel); ++i)
          for (int tap = 0; tap < 9; ++tap) to[i * 9 + tap] += taps[tap * kLanes + i];
      }
    });
  };

  for (int begin = 0; begin < input.strips(); begin += blocks.strips) {
    const int end = std::min(begin + blocks.strips, input.strips());
    const int depth = (end - begin) * input.across;
    steps.load(maps, input, begin, end, kernels_.inputs, kernels_.transform_input, strips, v);
    steps.load(results, output, begin, end, m, kernels_.transform_gradient, strips, g);
    for (int panel = 0; panel < panels; panel += blocks.panels) {
      const int count = std::min(blocks.panels, panels - panel);
      parallel_jobs(count * elements, [&](int job, int /*thread*/) {
        const int p = job / elements;
        const int e = job % elements;
        const int filter = (panel + p) * kPanel;
        kernels().multiply({std::min(kPanel, filters() - filter), padded_channels, depth,
                            g.values + e * g.element + filter, 1, g.tile, v.values + e * v.element,
                            v.tile, u + p * panel_size + e * du_element, padded_channels,
                            begin > 0});
      });
      if (end == input.strips() || blocks.panels < panels) add_panels(panel, count);
    }
  }
}

}  // namespace vibnet
