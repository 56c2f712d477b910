#include "math/winograd_steps.h"

#include "math/parallel.h"

namespace vibnet::winograd {
namespace {

/// The part of rows or columns [first, first + count) that lies within [0, size).
struct Inside {
  int begin, end;
  Inside(int first, int count, int size)
      : begin(std::clamp(-first, 0, count)), end(std::clamp(size - first, 0, count)) {}
};

}  // namespace

std::size_t Steps::strip_size(const Tiling& tiling) const {
  return static_cast<std::size_t>(tiling.across * m() + winograd_.inputs - m()) * winograd_.inputs *
         kLanes;
}

void Steps::load_group(const float* planes, const Tiling& tiling, int strip, int group, int rows,
                       Transform transform, float* buffer, const Transformed& to, int tile) const {
  const int width = tiling.across * m() + rows - m();
  const int channel = group * kLanes;
  const int first_row = strip % tiling.down * m() - tiling.pad_h;
  const std::ptrdiff_t plane = tiling.plane();
  const float* from = planes + strip / tiling.down * tiling.sample() + channel * plane;
  const Inside down(first_row, rows, tiling.height);
  const Inside across(-tiling.pad_w, width, tiling.width);
  for (int row = 0; row < rows; ++row) {
    float* line = buffer + row * width * kLanes;
    if (row < down.begin || row >= down.end) {
      std::fill_n(line, width * kLanes, 0.0f);
      continue;
    }
    std::fill(line, line + across.begin * kLanes, 0.0f);
    kernels().interleave(from + (first_row + row) * tiling.width + across.begin - tiling.pad_w,
                         plane, std::min(kLanes, tiling.channels - channel),
                         across.end - across.begin, line + across.begin * kLanes, kLanes);
    std::fill(line + across.end * kLanes, line + width * kLanes, 0.0f);
  }
  transform(buffer, width, tiling.across, to.at(0, tile) + channel, to.element, to.tile);
}

void Steps::load(const float* planes, const Tiling& tiling, int begin, int end, int rows,
                 Transform transform, float* buffer, const Transformed& to) const {
  for (int strip = begin; strip < end; ++strip)
    for (int group = 0; group < tiling.groups(); ++group)
      load_group(planes, tiling, strip, group, rows, transform, buffer, to,
                 (strip - begin) * tiling.across);
}

void Steps::share_load(const float* planes, const Tiling& tiling, int begin, int end, int rows,
                       Transform transform, float* buffers, const Transformed& to) const {
  const int groups = tiling.groups();
  parallel_jobs((end - begin) * groups, [&](int job, int thread) {
    load_group(planes, tiling, begin + job / groups, job % groups, rows, transform,
               buffers + thread * strip_size(tiling), to, job / groups * tiling.across);
  });
}

void Steps::store(const Transformed& from, const Tiling& tiling, int begin, int end, int first,
                  int count, const Epilogue& epilogue, float* buffer, float* planes) const {
  const int width = tiling.across * m();
  const std::ptrdiff_t plane = tiling.plane();
  for (int strip = begin; strip < end; ++strip)
    for (int channel = 0; channel < count; channel += kLanes) {
      winograd_.transform_output(from.at(0, (strip - begin) * tiling.across) + channel,
                                 from.element, from.tile, tiling.across, buffer, width);
      const int first_row = strip % tiling.down * m();
      std::ptrdiff_t at = strip / tiling.down * tiling.sample() + (first + channel) * plane +
                          std::ptrdiff_t{first_row} * tiling.width;
      const int rows = std::min(m(), tiling.height - first_row);
      for (int row = 0; row < rows; ++row, at += tiling.width)
        kernels().deinterleave(buffer + row * width * kLanes, kLanes, tiling.width,
                               epilogue.from(first + channel, at), planes + at, plane,
                               std::min(kLanes, count - channel));
    }
}

std::size_t Steps::sample_size(const Tiling& tiling) const {
  const int overlap = winograd_.inputs - m();
  return static_cast<std::size_t>(tiling.down * m() + overlap) * (tiling.across * m() + overlap) *
         kLanes;
}

void Steps::give_back(const Transformed& from, int tile, const Tiling& tiling, int sample,
                      int first, int count, float* buffer, float* planes) const {
  const int width = tiling.across * m() + winograd_.inputs - m();
  const std::ptrdiff_t plane = tiling.plane();
  for (int channel = 0; channel < count; channel += kLanes) {
    std::fill_n(buffer, sample_size(tiling), 0.0f);
    for (int strip = 0; strip < tiling.down; ++strip)
      winograd_.add_map_gradient(from.at(0, tile + strip * tiling.across) + channel, from.element,
                                 from.tile, tiling.across, buffer + strip * m() * width * kLanes,
                                 width);
    float* to = planes + sample * tiling.sample() + (first + channel) * plane;
    for (int row = 0; row < tiling.height; ++row)
      kernels().deinterleave(buffer + ((row + tiling.pad_h) * width + tiling.pad_w) * kLanes,
                             kLanes, tiling.width, {}, to + std::ptrdiff_t{row} * tiling.width,
                             plane, std::min(kLanes, count - channel));
  }
}

void FilterBank::gather(int filter, int d, int count, float* to) const {
  const int some = std::min(kLanes, filters - filter);
  if (!is_transposed)
    return kernels().interleave(w + (std::ptrdiff_t{filter} * depth + d) * taps,
                                std::ptrdiff_t{depth} * taps, some, count * taps, to, kLanes);
  float forward[kMostTaps * kLanes];
  for (int i = 0; i < count; ++i, to += taps * kLanes) {
    kernels().interleave(w + (std::ptrdiff_t{d + i} * filters + filter) * taps, taps, some, taps,
                         forward, kLanes);
    for (int tap = 0; tap < taps; ++tap)
      std::copy_n(forward + (is_turned ? taps - 1 - tap : tap) * kLanes, kLanes, to + tap * kLanes);
  }
}

void FilterBank::transform(const WinogradKernels& winograd, int panel, int begin, int end, float* u,
                           std::ptrdiff_t element) const {
  constexpr int kDepths = 16;
  float gathered[kDepths * kMostTaps * kLanes];
  for (int half = 0; half < columns(panel); half += kLanes)
    for (int d = begin; d < end; d += kDepths) {
      const int count = std::min(kDepths, end - d);
      gather(panel * kPanel + half, d, count, gathered);
      for (int i = 0; i < count; ++i)
        winograd.transform_weights(gathered + i * taps * kLanes,
                                   u + (d - begin + i) * kPanel + half, element);
    }
}

void FilterBank::transform_all(const WinogradKernels& winograd, float* u) const {
  constexpr int kDepths = 64;
  const int chunks = parts(depth, kDepths);
  const std::ptrdiff_t element = element_size(depth);
  parallel_jobs(panels() * chunks, [&](int job, int /*thread*/) {
    const int panel = job / chunks;
    const int begin = job % chunks * kDepths;
    transform(winograd, panel, begin, std::min(depth, begin + kDepths),
              u + panel * panel_size(winograd.elements()) + std::ptrdiff_t{begin} * kPanel,
              element);
  });
}

}  // namespace vibnet::winograd
