#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Tops that the program fills (Caffe's Input): one `shape` for all, or one per top.
class InputLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {0, 0}; }
  BlobCount top_count() const override { return {1, BlobCount::kAny}; }

  void set_up(const Blobs& /*bottom*/, const Blobs& top) override {
    const auto& shapes = parameter_.input_param().shape();
    const int tops = static_cast<int>(top.size());
    if (shapes.size() > 1 && shapes.size() != tops)
      fail("has ", shapes.size(), " shapes for ", tops, " tops; give one, or one per top");
    for (int i = 0; i < tops && !shapes.empty(); ++i) {
      top[i]->reshape(shape_of(shapes.Get(shapes.size() == 1 ? 0 : i)));
    }
  }

  void reshape(const Blobs& /*bottom*/, const Blobs& /*top*/) override {}
  void forward(const Blobs& /*bottom*/, const Blobs& /*top*/) override {}
  void backward(const Blobs& /*top*/, const std::vector<bool>& /*propagate_down*/,
                const Blobs& /*bottom*/) override {}
};

REGISTER_LAYER(Input, CPU, InputLayer);

}  // namespace vibnet
