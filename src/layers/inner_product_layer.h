#pragma once

#include "layers/prepared_weights.h"
#include "vibnet/layer.h"

namespace vibnet {

/// y = x W^T + b over the axes from `axis` on (Caffe's InnerProduct).
///
/// Bottom: M rows of K values; top: M rows of num_output. Parameters: W, num_output x K (K x
/// num_output with `transpose`), and b, unless bias_term is false.
class InnerProductLayer : public Layer {
 public:
  using Layer::Layer;

  void set_up(const Blobs& bottom, const Blobs& top) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;
  ChannelRule channel_rule(const Blobs& bottom, const Blobs& top) const override;
  bool rectify() override {
    rectifies_ = true;
    return true;
  }
  double flops() const override { return 2.0 * rows_ * inputs_ * outputs_; }

 protected:
  bool has_bias() const { return parameter_.inner_product_param().bias_term(); }
  bool is_transposed() const { return parameter_.inner_product_param().transpose(); }

  int rows_ = 0;
  int inputs_ = 0;
  int outputs_ = 0;

 private:
  /// Whether forward packs the weights, which do not change.
  bool packs() const;
  void multiply(const float* x, float* y) const;

  bool rectifies_ = false;
  PreparedWeights prepared_;
};

}  // namespace vibnet
