#pragma once

#include <vector>

#include "layers/windowed_layer.h"

namespace vibnet {

/// Cross-correlation with num_output filters over maps of any number of axes (Caffe's Convolution).
///
/// Bottoms: ... x C x spatial axes, the channels at `axis`; tops: ... x num_output x the window's
/// places. Parameters: filters, num_output x C/group x kernel, and biases, unless bias_term is
/// false. force_nd_im2col changes nothing.
///
/// A subclass may turn it round: then the windows stand in the tops (Deconvolution). So here "map"
/// is the blob that the windows move over, and "places" the one with a value for each place.
class ConvolutionLayer : public WindowedLayer {
 public:
  using WindowedLayer::WindowedLayer;

  BlobCount bottom_count() const override { return {1, BlobCount::kAny}; }
  BlobCount top_count() const override { return {1, BlobCount::kAny}; }

  void set_up(const Blobs& bottom, const Blobs& top) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;
  ChannelRule channel_rule(const Blobs& bottom, const Blobs& top) const override;
  double flops() const override {
    return 2.0 * samples_ * groups_ * filters_ * window_.taps() * places_;
  }

 protected:
  /// True where the bottoms hold the places and the tops the maps.
  virtual bool is_transposed() const { return false; }
  virtual int groups(int channels) const;

 private:
  bool has_bias() const { return parameter_.convolution_param().bias_term(); }
  Shape map_shape(const Shape& bottom) const;
  const float* columns_of(const float* map, float* buffer) const;
  void map_to_places(const float* map, float* buffer, float beta, float* places) const;
  void places_to_map(const float* places, float* buffer, float* map) const;
  void add_weight_gradient(const float* map, const float* places, float* buffer, float* dw) const;
  void forward_one(const float* x, float* buffer, float* y) const;

  int samples_ = 0;
  int channels_ = 0;
  int outputs_ = 0;
  int groups_ = 1;
  /// Of one group: its filters, and the values of its map; window_ moves over one group's map.
  int filters_ = 0;
  int map_size_ = 0;
  int places_ = 0;
  /// Values of one output channel.
  int output_size_ = 0;
  int columns_size_ = 0;
  bool is_pointwise_ = false;
  /// A blob for each thread, and for each chunk of the batch: one for all could be too large.
  std::vector<Blob> columns_;
  std::vector<Blob> weight_chunks_;
  std::vector<Blob> bias_chunks_;
};

}  // namespace vibnet
