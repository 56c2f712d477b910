#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace vibnet {

/// The floats of one vector; the kernels below work on whole ones.
constexpr int kLanes = 16;

/// A multiple of the rows that `multiply` works on at a time, for each instruction set.
constexpr int kRowStep = 12;

inline int round_up_to_lanes(int n) { return (n + kLanes - 1) / kLanes * kLanes; }

/// What becomes of each channel's sums at their end.
struct Epilogue {
  /// To add, one for each channel, or null.
  const float* bias = nullptr;
  /// To add, one for each result, which stand as the results do; or null. Not the results' memory.
  const float* residual = nullptr;
  /// Whether what is below 0 becomes 0 then.
  bool rectifies = false;

  float bias_of(std::ptrdiff_t channel) const { return bias == nullptr ? 0 : bias[channel]; }
  /// What a channel's sum becomes, so many floats behind the first result.
  float of(std::ptrdiff_t channel, float sum, std::ptrdiff_t result) const {
    float value = sum + bias_of(channel);
    if (residual != nullptr) value += residual[result];
    return rectifies && value < 0 ? 0 : value;
  }
  /// That of the channels, and of the results, from there on.
  Epilogue from(std::ptrdiff_t channel, std::ptrdiff_t result) const {
    return {bias == nullptr ? nullptr : bias + channel,
            residual == nullptr ? nullptr : residual + result, rectifies};
  }
};

/// C = A B, or C += A B: C is rows x columns, A[r][d] = a[r * a_row + d * a_depth], where a_row or
/// a_depth is 1, B[d][c] = b[d * b_depth + c]. B can be read up to the next multiple of kLanes columns.
/// A sum does not depend on how many rows and columns there are.
struct Product {
  int rows;
  int columns;
  int depth;
  const float* a;
  std::ptrdiff_t a_row;
  std::ptrdiff_t a_depth;
  const float* b;
  std::ptrdiff_t b_depth;
  float* c;
  std::ptrdiff_t c_row;
  bool adds;
  /// By rows. Where C is added to, there is no bias.
  Epilogue epilogue = {};
  /// Where A's rows stand by kRowStep: floats from so many to the next; else 0.
  std::ptrdiff_t a_step = 0;
  /// To add, one for each column, where C is not added to; or null. Read as B is.
  const float* column_bias = nullptr;

  const float* a_at(int row) const {
    return a_step == 0 ? a + row * a_row : a + row / kRowStep * a_step + row % kRowStep * a_row;
  }
};

/// The transforms of Winograd's F(m x m, r x r), kLanes channels at once (Lavin and Gray, Fast
/// Algorithms for Convolutional Neural Networks, 2016). A strip is a row of tiles, the channels
/// innermost: rows x width x kLanes. In the Winograd domain element e of tile t stands at
/// e * element + t * tile.
struct WinogradKernels {
  /// r, m, and the m + r - 1 values that a tile sees along an axis.
  int taps;
  int outputs;
  int inputs;
  /// Of a transformed tile.
  int elements() const { return inputs * inputs; }
  /// B^T x B of each tile of a strip of `inputs` rows.
  void (*transform_input)(const float* strip, int width, int tiles, float* v,
                          std::ptrdiff_t element, std::ptrdiff_t tile);
  /// A^T m A of each tile, to a strip of `outputs` rows.
  void (*transform_output)(const float* m, std::ptrdiff_t element, std::ptrdiff_t tile, int tiles,
                           float* strip, int width);
  /// A y A^T of each tile of a strip of `outputs` rows: what the output's gradient becomes.
  void (*transform_gradient)(const float* strip, int width, int tiles, float* v,
                             std::ptrdiff_t element, std::ptrdiff_t tile);
  /// Adds B m B^T of each tile to a strip of `inputs` rows: what the map's gradient is made of.
  void (*add_map_gradient)(const float* m, std::ptrdiff_t element, std::ptrdiff_t tile, int tiles,
                           float* strip, int width);
  /// G w G^T of one filter tap set, r^2 x kLanes.
  void (*transform_weights)(const float* taps, float* u, std::ptrdiff_t element);
  /// G^T u G: r^2 x kLanes.
  void (*transform_weight_gradient)(const float* u, std::ptrdiff_t element, float* taps);
};

/// Loops over a block of `count` values of a channel, each value alone: what is written may be what
/// is read.
struct BlockKernels {
  float (*sum)(const float* x, int count);
  /// The sum of (x - mean) y.
  float (*dot)(const float* x, float mean, const float* y, int count);
  /// The sum of (x - mean)^2.
  float (*squares)(const float* x, float mean, int count);
  /// y = (x - mean) factor + shift.
  void (*multiply_add)(const float* x, float mean, float factor, float shift, float* y, int count);
  /// y -= (x - mean) factor + shift.
  void (*subtract)(const float* x, float mean, float factor, float shift, float* y, int count);
  /// to = from where x > 0, and from times the slope elsewhere.
  void (*scale_by_sign)(const float* x, float slope, const float* from, float* to, int count);
};

/// Planes side by side, each times a factor of its own, of what a ReLU makes of x: what is below 0
/// is multiplied by `slope` before, which is 1 where there is no ReLU.
struct GatedPlanes {
  int planes;
  /// Of each plane.
  int values;
  const float* factors;
  float slope;
};

/// The largest value of each of `count` windows side by side, and where in the plane it stands; of
/// equal ones the first. The first window's first pixel is plane[first]. Up to kLanes floats behind
/// a window are read.
struct PoolingRow {
  const float* plane;
  int width;
  int first;
  int kernel_h, kernel_w;
  int stride;
  int count;
  float* largest;
  int* index;
};

/// The way back from rows of windows of 2 x 2, side by side, that cover a plane: each pixel gets
/// its window's gradient where `index` says that it was the largest, else 0.
struct HalvedPlane {
  const float* gradients;
  const int* index;
  int rows, columns;
  float* plane;
};

/// Of each filter, which has `terms` weights: to[i] = the sum of weights[t] from[offsets[t] + i]
/// for i < count, with the filter's epilogue, row by row. Up to kLanes floats more are read, of the
/// residual too, and behind a row that is not the last written.
struct WeightedSums {
  const float* from;
  std::ptrdiff_t from_row;
  const std::ptrdiff_t* offsets;
  const float* weights;
  int terms;
  int filters;
  Epilogue epilogue;
  int rows;
  int count;
  float* to;
  std::ptrdiff_t to_row;
  std::ptrdiff_t to_filter;
};

/// The filters that tap_sums works on.
constexpr int kTapFilters = 4;

/// The way back to the weights: adds the sum of from[offsets[t] + i] other[i] over i < count and
/// all rows, of each tap t and each filter f of `other`, to the kLanes floats at sums + (t *
/// kTapFilters + f) * kLanes, which are to be summed in turn. `count` is a multiple of kLanes; rows
/// of `other` stand one behind the other.
struct TapSums {
  const float* from;
  std::ptrdiff_t from_row;
  const std::ptrdiff_t* offsets;
  int taps;
  const float* other;
  std::ptrdiff_t other_filter;
  int rows;
  int count;
  float* sums;
};

/// A plane by 3 x 3 taps, with one row and column of zeros around it: the rows [begin, end) of
/// windows, each out_width wide, at a stride of 1 or 2. Up to kLanes floats behind the plane, and
/// behind the residual, are read.
struct DepthwisePlane {
  const float* from;
  int height, width;
  int stride;
  const float* weights;
  Epilogue epilogue;
  int begin, end;
  int out_width;
  float* to;
};

/// A row of windows over a map that has the channels last, height x width x channels, each channel
/// by taps of its own: weights[(row * kernel_w + column) * channels + channel]. The first window's
/// first tap is at (top, left); taps outside the map count nothing. `bias`, by channels, or null.
struct DepthwisePlaces {
  const float* map;
  int height, width, channels;
  int top, left;
  int kernel_h, kernel_w;
  int dilation_h, dilation_w;
  /// From one window to the next.
  int stride;
  int windows;
  const float* weights;
  const float* bias;
  bool rectifies;
  /// windows x channels.
  float* to;
};

/// Planes of rows of to_row floats: `above` rows of zeros, `rows` rows of `head` zeros, from[i *
/// step] for i < count and zeros again, and `below` rows of zeros. Up to kLanes floats behind each
/// plane's last row are written, and as many read behind from's.
struct PaddedPlanes {
  int planes;
  const float* from;
  std::ptrdiff_t from_plane;
  std::ptrdiff_t from_row;
  int step;
  int above, rows, below;
  int head, count;
  float* to;
  std::ptrdiff_t to_plane;
  std::ptrdiff_t to_row;
};

/// The way back: to[i * step] += from[i] for i < count, of each row of each plane. Up to kLanes
/// floats behind a row are read. What stands between the first and the last value that is added to
/// must be no other thread's.
struct AddedPlanes {
  int planes;
  const float* from;
  std::ptrdiff_t from_plane;
  std::ptrdiff_t from_row;
  int rows;
  int count;
  float* to;
  std::ptrdiff_t to_plane;
  std::ptrdiff_t to_row;
  int step;
};

/// The hot loops, compiled for one instruction set.
struct Kernels {
  const char* name;
  void (*multiply)(const Product& product);
  /// sums[r] = the sum of x[d] rows[r * row + d] over d < depth, for r < count.
  void (*dots)(const float* x, const float* rows, std::ptrdiff_t row, int count, int depth,
               float* sums);
  /// interleaved[i * row + c] = planes[c * plane + i] for c < channels, and 0 for c up to the next
  /// multiple of kLanes.
  void (*interleave)(const float* planes, std::ptrdiff_t plane, int channels, int count,
                     float* interleaved, std::ptrdiff_t row);
  /// The way back: planes[c * plane + i] = interleaved[i * row + c], with the epilogue of c.
  void (*deinterleave)(const float* interleaved, std::ptrdiff_t row, int count,
                       const Epilogue& epilogue, float* planes, std::ptrdiff_t plane, int channels);
  void (*weighted_sums)(const WeightedSums& sums);
  void (*tap_sums)(const TapSums& sums);
  void (*depthwise_plane)(const DepthwisePlane& plane);
  void (*depthwise_places)(const DepthwisePlaces& places);
  void (*pad_planes)(const PaddedPlanes& planes);
  void (*add_planes)(const AddedPlanes& planes);
  /// values[4 * i + j] = value j of vibnet::normal4 for blocks[i], to 1e-6.
  void (*normals)(std::uint64_t key, std::uint64_t iteration, std::uint32_t sample,
                  const std::uint32_t* blocks, int count, float* values);
  void (*max_of_windows)(const PoolingRow& row);
  void (*spread_windows)(const HalvedPlane& plane);
  WinogradKernels winograd2;
  WinogradKernels winograd4;
  WinogradKernels winograd2_by5;
  WinogradKernels winograd4_by5;
  BlockKernels blocks;
  /// y may be x.
  void (*gate)(const GatedPlanes& gated, const float* x, float* y);
  /// The way back, from x or, where that is null and no slope is below 0, from y: writes dL/dx,
  /// which may be dL/dy, and each plane's sum of dL/dy times what its factor multiplied.
  void (*gate_gradient)(const GatedPlanes& gated, const float* x, const float* y, const float* dy,
                        float* dx, float* sums);
};

/// The kernels for an instruction set (baseline, avx2, avx512); for no name, for the best that this
/// processor has. Throws Error for one that it cannot run.
const Kernels& kernels_for(const std::string& name);

/// Those that the environment variable VIBNET_SIMD names.
const Kernels& kernels();

}  // namespace vibnet
