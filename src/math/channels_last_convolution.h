#pragma once

#include <cstddef>

#include "math/convolution.h"
#include "math/packed_weights.h"

namespace vibnet {

/// Which of a convolution's blobs have the channels last: samples x places x channels.
struct ChannelsLast {
  bool maps = false;
  bool results = false;
};

/// Forward of a pointwise or depthwise convolution whose maps or results have the channels last. A
/// pointwise one is then a product with a row for each place, and a depthwise one fills its vectors
/// with channels, however small the maps. Threads share the places, so that each reads what it
/// wrote a layer before.
class ChannelsLastConvolution {
 public:
  static bool is_pointwise(const Convolution& convolution);
  /// One filter for each channel, along two axes. It needs both blobs with the channels last.
  static bool is_depthwise(const Convolution& convolution);

  ChannelsLastConvolution(const Convolution& convolution, ChannelsLast blobs);

  ChannelsLast blobs() const { return blobs_; }

  /// Floats of what prepare makes of the weights.
  std::size_t prepared_size() const;
  void prepare(const float* weights, float* prepared) const;
  /// The epilogue is by filters. A residual stands as the results do where these do not have the
  /// channels last; where they do there is none.
  void forward(const float* maps, const float* prepared, const Epilogue& epilogue,
               float* results) const;

 private:
  void forward_pointwise(const float* maps, const float* packed, const Epilogue& epilogue,
                         float* results) const;
  void forward_depthwise(const float* maps, const float* turned, const Epilogue& epilogue,
                         float* results) const;

  Convolution convolution_;
  ChannelsLast blobs_;
  PackedWeights packed_;
};

}  // namespace vibnet
