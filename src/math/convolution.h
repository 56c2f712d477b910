#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "math/im2col.h"
#include "simd/kernels.h"

namespace vibnet {

/// A convolution over samples of a map (what the windows move over) with a result for each place
/// where a window stands. A map is groups x the window's picture, its results groups x filters x
/// places, and the weights groups x filters x the window's taps.
struct Convolution {
  int samples;
  int groups;
  /// Of one group.
  int filters;
  /// Over the map of one group.
  Window window;

  int places() const { return window.positions(); }
  std::ptrdiff_t map_size() const { return std::ptrdiff_t{groups} * window.values(); }
  std::ptrdiff_t result_size() const { return std::ptrdiff_t{groups} * filters * places(); }
  std::ptrdiff_t weights() const { return std::ptrdiff_t{groups} * filters * window.taps(); }
};

/// One way to compute a convolution. Each number is summed in one order, whatever the number of
/// threads. Maps and results may be read up to a vector beyond their end, as SyncedMemory allows.
class ConvolutionKernel {
 public:
  ConvolutionKernel() = default;
  ConvolutionKernel(const ConvolutionKernel&) = delete;
  ConvolutionKernel& operator=(const ConvolutionKernel&) = delete;
  virtual ~ConvolutionKernel() = default;

  /// Floats of what prepare makes of the weights; 0 for a way that takes them as they are.
  virtual std::size_t prepared_size() const { return 0; }
  virtual void prepare(const float* /*weights*/, float* /*prepared*/) const {}

  /// The results of the maps, with the epilogue by filters, one group's behind the other's.
  virtual void forward(const float* maps, const float* weights, const Epilogue& epilogue,
                       float* results) const = 0;
  /// The same with what prepare made of the weights, or with the weights where prepared_size is 0.
  virtual void forward_prepared(const float* maps, const float* prepared, const Epilogue& epilogue,
                                float* results) const {
    forward(maps, prepared, epilogue, results);
  }
  /// The gradient by the maps. Overwrites it.
  virtual void backward_data(const float* results, const float* weights, float* maps) const = 0;
  /// The gradient by the weights. Overwrites it, or adds to it.
  virtual void backward_weights(const float* maps, const float* results, bool adds,
                                float* weights) const = 0;
};

/// Directly where channels are few, by planes where each has a filter of its own; else the way that
/// costs least where the weights change between passes, or where they do not and are prepared once.
/// That is known from models of what was measured and never by a clock, so that a run is the same
/// run again. The environment variable VIBNET_CONVOLUTION (unfolded, direct, depthwise, winograd2,
/// winograd4; channels_last on a GPU) asks for a way wherever it can be had.
std::unique_ptr<ConvolutionKernel> make_convolution(const Convolution& convolution,
                                                    bool weights_change);

/// What it asks for; empty for nothing. Throws Error for what is no way.
std::string asked_convolution();

}  // namespace vibnet
