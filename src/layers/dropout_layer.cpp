#include <algorithm>

#include "math/parallel.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// TRAIN: zeroes each value with probability dropout_ratio and divides the others by 1 minus it.
/// TEST: passes values on (Caffe's Dropout). In place if asked.
class DropoutLayer : public Layer {
 public:
  using Layer::Layer;

  bool runs_in_place() const override { return true; }

  void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) override {
    if (!(ratio() >= 0 && ratio() < 1)) fail("dropout_ratio must be in [0, 1), not ", ratio());
  }

  ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const override {
    return ChannelRule::pointwise(ChannelRule::Homogeneous::ALWAYS);
  }
  void reshape(const Blobs& bottom, const Blobs& top) override {
    top[0]->reshape_like(*bottom[0]);
    if (context_.phase == TRAIN) factor_.reshape_like(*bottom[0]);
  }

  void forward(const Blobs& bottom, const Blobs& top) override {
    const float* x = bottom[0]->cpu_data();
    float* y = top[0]->mutable_cpu_data();
    if (context_.phase == TEST) {
      if (y != x) std::copy_n(x, bottom[0]->count(), y);
      return;
    }
    draw_factors();
    multiply(x, bottom[0]->count(), y);
  }

  void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                const Blobs& bottom) override {
    if (!propagate_down[0]) return;
    const float* dy = top[0]->cpu_diff();
    float* dx = bottom[0]->mutable_cpu_diff();
    if (context_.phase == TRAIN)
      multiply(dy, bottom[0]->count(), dx);
    else if (dx != dy)
      std::copy_n(dy, bottom[0]->count(), dx);
  }

 private:
  float ratio() const { return parameter_.dropout_param().dropout_ratio(); }

  void draw_factors() {
    const int samples = factor_.axes() > 0 ? factor_.shape(0) : 1;
    const int size = samples > 0 ? factor_.count() / samples : 0;
    const auto first_sample =
        static_cast<std::uint32_t>(context_.first_sample(context_.pass, samples));
    const float kept = 1 / (1 - ratio());
    const RandomKey key = random_key();
    float* factor = factor_.mutable_cpu_data();
    parallel_for(samples, grain_of(4LL * size), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n)
        for (int i = 0; i < size; i += 4) {
          const Random4 drawn = uniform4(key, context_.iteration, first_sample + n, i / 4);
          for (int j = 0; j < std::min(4, size - i); ++j)
            factor[n * size + i + j] = drawn.values[j] < ratio() ? 0 : kept;
        }
    });
  }

  void multiply(const float* from, int count, float* to) const {
    const float* factor = factor_.cpu_data();
    parallel_for(count, kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = from[i] * factor[i];
    });
  }

  Blob factor_;
};

REGISTER_LAYER(Dropout, CPU, DropoutLayer);

}  // namespace vibnet
