#include "layers/spp_layer.h"

#include <algorithm>
#include <memory>

#include "layers/spp_bins.h"
#include "math/parallel.h"
#include "vibnet/registry.h"

namespace vibnet {

void SPPLayer::set_up(const Blobs& bottom, const Blobs& /*top*/) {
  const int height = size_of("pyramid_height", parameter().pyramid_height());
  // 2^25 bins along an axis are more than a plane can have pixels.
  if (height < 1 || height > 25) fail("pyramid_height must be in 1 .. 25, not ", height);
  if (bottom[0]->axes() != 4)
    fail("works on N x C x H x W, and the bottom is ", to_string(bottom[0]->shape()));
  levels_ = std::vector<Level>(height);
}

void SPPLayer::reshape(const Blobs& bottom, const Blobs& top) {
  if (bottom[0]->axes() != 4 || bottom[0]->shape(2) == 0 || bottom[0]->shape(3) == 0)
    fail("works on N x C x H x W, none of H and W 0, and the bottom is ",
         to_string(bottom[0]->shape()));
  std::int64_t values = 0;
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    Level& level = levels_[i];
    level.bottom.reshape_like(*bottom[0]);
    try {
      level.pooling = make_layer(pooling_of(static_cast<int>(i), *bottom[0]), context_);
      level.pooling->reshape({&level.bottom}, {&level.top});
    } catch (const Error& error) {
      fail("level ", i, ", ", 1 << i, "x", 1 << i, " bins: ", error.what());
    }
    values += level.top.count(1);
  }
  if (levels_.size() == 1) return top[0]->reshape_like(levels_[0].top);
  top[0]->reshape({bottom[0]->shape(0), static_cast<int>(values)});
}

void SPPLayer::forward(const Blobs& bottom, const Blobs& top) {
  for (Level& level : levels_) {
    level.bottom.share_data(*bottom[0]);
    level.pooling->forward({&level.bottom}, {&level.top});
  }
  float* y = top[0]->mutable_cpu_data();
  for_each_row(top, [=](Level& level, int row, int size, int at) {
    std::copy_n(level.top.cpu_data() + row * size, size, y + at);
  });
}

void SPPLayer::backward(const Blobs& top, const std::vector<bool>& propagate_down,
                        const Blobs& bottom) {
  if (!propagate_down[0]) return;
  const float* dy = top[0]->cpu_diff();
  for_each_row(top, [=](Level& level, int row, int size, int at) {
    std::copy_n(dy + at, size, level.top.mutable_cpu_diff() + row * size);
  });
  bottom[0]->set_diff(0);
  float* sum = bottom[0]->mutable_cpu_diff();
  for (Level& level : levels_) {
    level.pooling->backward({&level.top}, {true}, {&level.bottom});
    const float* dx = level.bottom.cpu_diff();
    parallel_for(bottom[0]->count(), kParallelGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) sum[i] += dx[i];
    });
  }
}

LayerParameter SPPLayer::pooling_of(int level, const Blob& x) const {
  LayerParameter layer;
  layer.set_name(name() + "/level" + std::to_string(level));
  layer.set_type("Pooling");
  PoolingParameter* p = layer.mutable_pooling_param();
  p->set_pool(static_cast<PoolingParameter::PoolMethod>(parameter().pool()));
  const SPPBins rows = spp_bins(x.shape(2), level);
  const SPPBins columns = spp_bins(x.shape(3), level);
  p->set_kernel_h(static_cast<std::uint32_t>(rows.kernel));
  p->set_kernel_w(static_cast<std::uint32_t>(columns.kernel));
  p->set_stride_h(p->kernel_h());
  p->set_stride_w(p->kernel_w());
  p->set_pad_h(static_cast<std::uint32_t>(rows.pad));
  p->set_pad_w(static_cast<std::uint32_t>(columns.pad));
  return layer;
}

template <typename Body>
void SPPLayer::for_each_row(const Blobs& top, const Body& body) {
  int offset = 0;
  for (Level& level : levels_) {
    const int size = level.top.count(1);
    for (int row = 0; row < top[0]->shape(0); ++row)
      body(level, row, size, row * top[0]->count(1) + offset);
    offset += size;
  }
}

REGISTER_LAYER(SPP, CPU, SPPLayer);

}  // namespace vibnet
