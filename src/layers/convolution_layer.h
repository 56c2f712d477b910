#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "layers/prepared_weights.h"
#include "layers/windowed_layer.h"
#include "math/channels_last_convolution.h"
#include "math/convolution.h"

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
  bool add(const Blob* residual) override {
    if (is_transposed() || residual_ != nullptr || rectifies_) return false;
    residual_ = residual;
    return true;
  }
  bool rectify() override {
    rectifies_ = !is_transposed();
    return rectifies_;
  }
  /// Whether the layer is one that can have channels last where a chain of these begins and ends,
  /// and one that can within it.
  bool is_pointwise() const {
    return is_along_channels() && ChannelsLastConvolution::is_pointwise(convolution());
  }
  bool is_depthwise() const {
    return is_along_channels() && ChannelsLastConvolution::is_depthwise(convolution());
  }
  bool adds_residual() const { return residual_ != nullptr; }
  /// From now on the bottom, or the top, has its channels last, in TEST.
  void use_channels_last(bool bottom, bool top);
  ChannelsLast channels_last() const {
    return channels_last_ ? channels_last_->blobs() : ChannelsLast{};
  }
  double flops() const override {
    return 2.0 * samples_ * groups_ * filters_ * window_.taps() * window_.positions();
  }

 protected:
  /// True where the bottoms hold the places and the tops the maps.
  virtual bool is_transposed() const { return false; }
  virtual int groups(int channels) const;
  /// Made anew where the shapes change.
  virtual std::unique_ptr<ConvolutionKernel> make_kernel(const Convolution& convolution) {
    return make_convolution(convolution, weights_change());
  }

  bool has_bias() const { return parameter_.convolution_param().bias_term(); }
  bool weights_change() const { return context_.phase == TRAIN; }

  int samples_ = 0;
  int outputs_ = 0;
  /// Values of one output channel.
  int output_size_ = 0;
  std::unique_ptr<ConvolutionKernel> kernel_;

 private:
  bool is_along_channels() const { return channel_axis_ == 1 && !is_transposed(); }
  Convolution convolution() const { return {samples_, groups_, filters_, window_}; }
  /// What the kernel's forward_prepared, or channels_last_, wants of the weights as they are now.
  const float* prepared_weights();
  Shape map_shape(const Shape& bottom) const;
  void add_bias(const float* bias, float* y) const;
  void add_bias_gradient(const float* dy);

  int channels_ = 0;
  int groups_ = 1;
  /// Of one group; window_ moves over one group's map.
  int filters_ = 0;
  const Blob* residual_ = nullptr;
  bool rectifies_ = false;
  /// In place of the kernel where a blob has its channels last.
  std::optional<ChannelsLastConvolution> channels_last_;
  /// The bottoms' shape that kernel_ is for.
  Shape made_for_;
  PreparedWeights prepared_;
};

}  // namespace vibnet
