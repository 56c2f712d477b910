#include "math/channels_last_convolution.h"

#include <omp.h>

#include <algorithm>
#include <cstdint>

#include "math/parallel.h"
#include "math/scratch.h"
#include "simd/kernels.h"

namespace vibnet {
namespace {

/// Places that are worked on at a time, at most.
constexpr int kRows = 8 * kRowStep;
constexpr int kPanel = PackedWeights::kPanel;

}  // namespace

bool ChannelsLastConvolution::is_pointwise(const Convolution& c) {
  return c.groups == 1 && c.window.is_pointwise();
}

bool ChannelsLastConvolution::is_depthwise(const Convolution& c) {
  return c.groups > 1 && c.filters == 1 && c.window.channels == 1 && c.window.axes.size() == 2;
}

ChannelsLastConvolution::ChannelsLastConvolution(const Convolution& convolution, ChannelsLast blobs)
    : convolution_(convolution),
      blobs_(blobs),
      packed_(convolution.filters, convolution.window.channels) {}

std::size_t ChannelsLastConvolution::prepared_size() const {
  return is_pointwise(convolution_) ? packed_.size() : convolution_.weights();
}

/// A depthwise one's weights: taps x channels.
void ChannelsLastConvolution::prepare(const float* weights, float* prepared) const {
  if (is_pointwise(convolution_)) return packed_.pack(weights, prepared);
  const int taps = convolution_.window.taps();
  for (int channel = 0; channel < convolution_.groups; ++channel)
    for (int tap = 0; tap < taps; ++tap)
      prepared[std::ptrdiff_t{tap} * convolution_.groups + channel] =
          weights[std::ptrdiff_t{channel} * taps + tap];
}

void ChannelsLastConvolution::forward(const float* maps, const float* prepared,
                                      const Epilogue& epilogue, float* results) const {
  if (!is_pointwise(convolution_)) return forward_depthwise(maps, prepared, epilogue, results);
  if (!blobs_.maps || !blobs_.results) return forward_pointwise(maps, prepared, epilogue, results);
  packed_.multiply(prepared, convolution_.samples * convolution_.places(), maps, epilogue, results);
}

/// To or from maps with the channels first.
void ChannelsLastConvolution::forward_pointwise(const float* maps, const float* packed,
                                                const Epilogue& epilogue, float* results) const {
  const int channels = convolution_.window.channels;
  const int filters = convolution_.filters;
  const int places = convolution_.places();
  const int sharers = parts(omp_get_max_threads(), std::max(1, convolution_.samples));
  const int block = std::clamp(parts(places, sharers), 1, kRows);
  const int blocks = parts(places, block);
  const std::size_t sums_size = std::size_t{kPanel} * block;
  float* sums = scratch(sums_size * omp_get_max_threads());
  parallel_jobs(convolution_.samples * blocks * packed_.panels(), [&](int job, int thread) {
    const int panel = job % packed_.panels();
    const int first = job / packed_.panels() % blocks * block;
    const std::ptrdiff_t sample = job / packed_.panels() / blocks;
    const int count = std::min(block, places - first);
    const std::ptrdiff_t row = blobs_.maps ? channels : 1;
    const std::ptrdiff_t depth = blobs_.maps ? 1 : places;
    const float* from = maps + sample * convolution_.map_size() + first * row;
    float* to = results + sample * convolution_.result_size();
    if (blobs_.results)
      return packed_.multiply(packed, panel, count, from, row, depth, epilogue,
                              to + std::ptrdiff_t{first} * filters + panel * kPanel, filters);
    float* own = sums + thread * sums_size;
    packed_.multiply(packed, panel, count, from, row, depth, {}, own, kPanel);
    const std::ptrdiff_t at = std::ptrdiff_t{panel} * kPanel * places + first;
    kernels().deinterleave(own, kPanel, count, epilogue.from(panel * kPanel, to - results + at),
                           to + at, places, packed_.outputs(panel));
  });
}

void ChannelsLastConvolution::forward_depthwise(const float* maps, const float* turned,
                                                const Epilogue& epilogue, float* results) const {
  const WindowAxis& down = convolution_.window.axes[0];
  const WindowAxis& across = convolution_.window.axes[1];
  const int channels = convolution_.groups;
  const int height = down.outputs();
  const std::ptrdiff_t result_row = std::ptrdiff_t{across.outputs()} * channels;
  parallel_for(std::int64_t{convolution_.samples} * height,
               grain_of(result_row * down.kernel * across.kernel),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const int top = static_cast<int>(i % height) * down.stride - down.pad;
                   kernels().depthwise_places(
                       {maps + i / height * convolution_.map_size(), down.size, across.size,
                        channels, top, -across.pad, down.kernel, across.kernel, down.dilation,
                        across.dilation, across.stride, across.outputs(), turned, epilogue.bias,
                        epilogue.rectifies, results + i * result_row});
                 }
               });
}

}  // namespace vibnet
