#pragma once

#include <cstdint>
#include <vector>

#include "vibnet/layer.h"

namespace vibnet {

/// Looks each index up in a table of vectors (Caffe's Embed): an InnerProduct of one-hot vectors.
///
/// Bottom: indices from 0 to input_dim - 1, of any shape, without a gradient; top: that shape x
/// num_output. Parameters: the table, input_dim x num_output, and a bias unless bias_term is false.
class EmbedLayer : public Layer {
 public:
  using Layer::Layer;

  bool has_gradient(int /*bottom*/) const override { return false; }
  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                const Blobs& /*bottom*/) override;

 protected:
  const EmbedParameter& parameter() const { return parameter_.embed_param(); }
  [[noreturn]] void fail_index(float index) const;
  void read_indices(const Blob& bottom);

  int words_ = 0;
  int outputs_ = 0;
  std::vector<std::int64_t> indices_;
};

}  // namespace vibnet
