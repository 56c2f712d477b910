#include <algorithm>
#include <cstddef>

#include "vibnet/filler.h"
#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Tops filled by fillers, anew each pass but for constants (Caffe's DummyData): `shape` (or num,
/// channels, height, width) and data_filler, one for all tops or one for each. The first axis is
/// the batch.
class DummyDataLayer : public Layer {
 public:
  using Layer::Layer;

  BlobCount bottom_count() const override { return {0, 0}; }
  BlobCount top_count() const override { return {1, BlobCount::kAny}; }

  void set_up(const Blobs& /*bottom*/, const Blobs& top) override {
    const int tops = static_cast<int>(top.size());
    const int fillers = parameter_.dummy_data_param().data_filler_size();
    if (fillers > 1 && fillers != tops)
      fail("has ", fillers, " data_filler for ", tops, " tops; give one, or one per top");
    for (int i = 0; i < tops; ++i) {
      Shape shape = shape_of_top(i, tops);
      if (!shape.empty()) shape[0] = share_of(shape[0]);
      top[i]->reshape(shape);
      fill_top(i, top[i]);
    }
  }

  void reshape(const Blobs& /*bottom*/, const Blobs& /*top*/) override {}

  void forward(const Blobs& /*bottom*/, const Blobs& top) override {
    for (std::size_t i = 0; i < top.size(); ++i)
      if (filler(static_cast<int>(i)).type() != "constant") fill_top(static_cast<int>(i), top[i]);
  }

  void backward(const Blobs& /*top*/, const std::vector<bool>& /*propagate_down*/,
                const Blobs& /*bottom*/) override {}

 private:
  template <typename Values>
  auto value_of_top(const Values& values, int top, int tops, const char* field) const {
    if (values.size() != 1 && values.size() != tops)
      fail("has ", values.size(), " ", field, " for ", tops, " tops; give one, or one per top");
    return values.Get(values.size() == 1 ? 0 : top);
  }

  Shape shape_of_top(int top, int tops) const {
    const DummyDataParameter& p = parameter_.dummy_data_param();
    if (p.shape_size() > 0) {
      return shape_of(value_of_top(p.shape(), top, tops, "shape"));
    }
    const auto dimension = [&](const auto& values, const char* field) {
      return size_of(field, value_of_top(values, top, tops, field));
    };
    return {dimension(p.num(), "num"), dimension(p.channels(), "channels"),
            dimension(p.height(), "height"), dimension(p.width(), "width")};
  }

  FillerParameter filler(int top) const {
    const auto& fillers = parameter_.dummy_data_param().data_filler();
    if (fillers.empty()) return {};
    return fillers.Get(fillers.size() == 1 ? 0 : top);
  }

  void fill_top(int index, Blob* top) const {
    const std::string user =
        name() + "/top" + std::to_string(index) + "/" + std::to_string(context_.batch());
    const RandomKey key = vibnet::random_key(context_.seed, user);
    const int ranks = context_.ranks->size();
    if (ranks == 1) return fill(filler(index), key, top);
    Shape shape = top->shape();
    if (shape.empty()) fail("a top without a batch cannot be shared by ", ranks, " ranks");
    shape[0] *= ranks;
    Blob whole(shape);
    fill(filler(index), key, &whole);
    std::copy_n(whole.cpu_data() + std::ptrdiff_t{context_.ranks->rank()} * top->count(),
                top->count(), top->mutable_cpu_data());
  }
};

REGISTER_LAYER(DummyData, CPU, DummyDataLayer);

}  // namespace vibnet
