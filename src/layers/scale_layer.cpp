#include <algorithm>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// y = x * scale + bias, the scale broadcast over the axes it does not have (Caffe's Scale).
///
/// Bottoms: x, outer x scale x inner around `axis`; the scale, unless it is a parameter.
/// Parameters: the scale, of num_axes axes of x from `axis` on; the bias of the same shape with
/// bias_term.
class ScaleLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {1, 2}; }
  bool runs_in_place() const override { return true; }

  void set_up(const Blobs& bottom, const Blobs& top) override;
  void reshape(const Blobs& bottom, const Blobs& top) override;
  void forward(const Blobs& bottom, const Blobs& top) override;
  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override;

 private:
  bool has_bias() const { return parameter_.scale_param().bias_term(); }
  Blob& scale(const Blobs& bottom) const { return bottom.size() > 1 ? *bottom[1] : *blobs_[0]; }
  Blob& bias() const { return *blobs_.back(); }
  Shape own_scale_shape(const Blob& x) const;
  void add_parameter_gradients(const float* x, const float* dy, float* dscale, float* dbias) const;

  int outer_ = 0;
  int scales_ = 0;
  int inner_ = 0;
  /// x of an in-place forward, for the scale's gradient.
  Blob kept_bottom_;
};

Shape ScaleLayer::own_scale_shape(const Blob& x) const {
  const ScaleParameter& parameter = parameter_.scale_param();
  const int first = x.canonical_axis(parameter.axis());
  const int axes = parameter.num_axes() == -1 ? x.axes() - first : parameter.num_axes();
  if (axes < 0 || axes > x.axes() - first)
    fail("num_axes: ", parameter.num_axes(), " reaches past the bottom's axes");
  return {x.shape().begin() + first, x.shape().begin() + first + axes};
}

void ScaleLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  const ScaleParameter& parameter = parameter_.scale_param();
  if (bottom.size() == 1) {
    FillerParameter ones;
    ones.set_value(1);
    add_blob(own_scale_shape(*bottom[0]), parameter.has_filler() ? &parameter.filler() : &ones);
  }
  if (has_bias()) add_blob(scale(bottom).shape(), &parameter.bias_filler());
}

void ScaleLayer::reshape(const Blobs& bottom, const Blobs& top) {
  const Blob& x = *bottom[0];
  const Shape& shape = scale(bottom).shape();
  const int first = shape.empty() ? 0 : x.canonical_axis(parameter_.scale_param().axis());
  const int last = first + static_cast<int>(shape.size());
  if (last > x.axes() || !std::equal(shape.begin(), shape.end(), x.shape().begin() + first))
    fail("the scale is ", to_string(shape), ", which does not fit the bottom, ",
         to_string(x.shape()), ", from axis ", first, " on");
  outer_ = x.count(0, first);
  scales_ = x.count(first, last);
  inner_ = x.count(last);
  top[0]->reshape_like(x);
  if (bottom[0] == top[0]) kept_bottom_.reshape_like(x);
}

void ScaleLayer::forward(const Blobs& bottom, const Blobs& top) {
  const float* x = bottom[0]->cpu_data();
  if (bottom[0] == top[0]) std::copy_n(x, bottom[0]->count(), kept_bottom_.mutable_cpu_data());
  const float* scale = this->scale(bottom).cpu_data();
  const float* bias = has_bias() ? this->bias().cpu_data() : nullptr;
  float* y = top[0]->mutable_cpu_data();
  parallel_for(outer_ * scales_, grain_of(inner_), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float factor = scale[row % scales_];
      const float shift = bias == nullptr ? 0 : bias[row % scales_];
      for (std::int64_t i = row * inner_; i < (row + 1) * inner_; ++i) y[i] = x[i] * factor + shift;
    }
  });
}

void ScaleLayer::add_parameter_gradients(const float* x, const float* dy, float* dscale,
                                         float* dbias) const {
  parallel_for(scales_, grain_of(1LL * outer_ * inner_), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c) {
      float by_scale = 0;
      float by_bias = 0;
      for (std::int64_t row = c; row < outer_ * scales_; row += scales_)
        for (std::int64_t i = row * inner_; i < (row + 1) * inner_; ++i) {
          by_scale += dy[i] * x[i];
          by_bias += dy[i];
        }
      if (dscale != nullptr) dscale[c] += by_scale;
      if (dbias != nullptr) dbias[c] += by_bias;
    }
  });
}

void ScaleLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                          const Blobs& bottom) {
  const bool in_place = bottom[0] == top[0];
  const float* x = in_place ? kept_bottom_.cpu_data() : bottom[0]->cpu_data();
  const float* dy = top[0]->cpu_diff();
  const bool scale_is_bottom = bottom.size() > 1;
  if (scale_is_bottom && propagate_down[1]) bottom[1]->set_diff(0);
  const bool wants_scale = scale_is_bottom ? propagate_down[1] : learns(0);
  const bool wants_bias = has_bias() && learns(static_cast<int>(blobs_.size()) - 1);
  add_parameter_gradients(x, dy, wants_scale ? scale(bottom).mutable_cpu_diff() : nullptr,
                          wants_bias ? bias().mutable_cpu_diff() : nullptr);
  if (!propagate_down[0]) return;
  const float* scale = this->scale(bottom).cpu_data();
  float* dx = bottom[0]->mutable_cpu_diff();
  parallel_for(outer_ * scales_, grain_of(inner_), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      for (std::int64_t i = row * inner_; i < (row + 1) * inner_; ++i)
        dx[i] = dy[i] * scale[row % scales_];
  });
}

REGISTER_LAYER(Scale, CPU, ScaleLayer);

}  // namespace vibnet
