#include <algorithm>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Looks each index up in a table of vectors (Caffe's Embed): an InnerProduct of one-hot vectors.
///
/// Bottom: indices from 0 to input_dim - 1, of any shape, without a gradient; top: that shape x
/// num_output. Parameters: the table, input_dim x num_output, and a bias unless bias_term is false.
class EmbedLayer : public Layer {
 public:
  using Layer::Layer;

  bool has_gradient(int /*bottom*/) const override { return false; }

  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override {
    words_ = size_of("input_dim", parameter().input_dim());
    outputs_ = size_of("num_output", parameter().num_output());
    if (words_ < 1) fail("input_dim is missing or 0");
    if (outputs_ < 1) fail("num_output is missing or 0");
    add_blob({words_, outputs_}, &parameter().weight_filler());
    if (parameter().bias_term()) add_blob({outputs_}, &parameter().bias_filler());
  }

  void reshape(const Blobs& bottom, const Blobs& top) override {
    Shape shape = bottom[0]->shape();
    shape.push_back(outputs_);
    top[0]->reshape(shape);
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    read_indices(*bottom[0]);
    const float* table = blobs_[0]->cpu_data();
    const float* bias = parameter().bias_term() ? blobs_[1]->cpu_data() : nullptr;
    float* y = top[0]->mutable_cpu_data();
    parallel_for(indices_.size(), grain_of(outputs_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float* row = table + indices_[i] * outputs_;
        for (int o = 0; o < outputs_; ++o)
          y[i * outputs_ + o] = row[o] + (bias == nullptr ? 0 : bias[o]);
      }
    });
  }

  void backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                const Blobs& /*bottom*/) override {
    const float* dy = top[0]->cpu_diff();
    float* table = learns(0) ? blobs_[0]->mutable_cpu_diff() : nullptr;
    float* bias = parameter().bias_term() && learns(1) ? blobs_[1]->mutable_cpu_diff() : nullptr;
    // Shared out by output, since two indices may name one row.
    const auto grain = grain_of(static_cast<std::int64_t>(indices_.size()));
    parallel_for(outputs_, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::size_t i = 0; i < indices_.size(); ++i)
        for (std::int64_t o = begin; o < end; ++o) {
          if (table != nullptr) table[indices_[i] * outputs_ + o] += dy[i * outputs_ + o];
          if (bias != nullptr) bias[o] += dy[i * outputs_ + o];
        }
    });
  }

 private:
  const EmbedParameter& parameter() const { return parameter_.embed_param(); }

  void read_indices(const Blob& bottom) {
    indices_.clear();
    for (int i = 0; i < bottom.count(); ++i) {
      const float index = bottom.cpu_data()[i];
      if (!(index >= 0 && index < static_cast<float>(words_)))
        fail("index ", index, " is not below the input_dim of ", words_);
      indices_.push_back(static_cast<std::int64_t>(index));
    }
  }

  int words_ = 0;
  int outputs_ = 0;
  std::vector<std::int64_t> indices_;
};

REGISTER_LAYER(Embed, CPU, EmbedLayer);

}  // namespace vibnet
