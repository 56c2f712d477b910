#include "vibnet/layer.h"
#include "vibnet/registry.h"

namespace vibnet {

/// Joins the axes from `axis` to `end_axis` into one, values untouched (Caffe's Flatten).
class FlattenLayer : public Layer {
 public:
  using Layer::Layer;

  bool shares_data() const override { return true; }
  bool shares_diff() const override { return true; }
  void reshape(const Blobs& bottom, const Blobs& top) override {
    const Blob& x = *bottom[0];
    const int first = x.canonical_axis(parameter_.flatten_param().axis());
    const int last = x.canonical_axis(parameter_.flatten_param().end_axis());
    if (last < first) fail("end_axis comes before axis");
    Shape shape(x.shape().begin(), x.shape().begin() + first);
    shape.push_back(x.count(first, last + 1));
    shape.insert(shape.end(), x.shape().begin() + last + 1, x.shape().end());
    top[0]->reshape(shape);
  }

  ChannelRule channel_rule(const Blobs& bottom, const Blobs& top) const override {
    const Blob& x = *bottom[0];
    const int first = x.canonical_axis(parameter_.flatten_param().axis());
    if (first == 1 && top[0]->axes() == 2) return ChannelRule::flattened(x.shape(1), x.count(2));
    if (first < 2) return ChannelRule::wall();
    return ChannelRule::each(ChannelRule::Constants::SAME, ChannelRule::Homogeneous::ALWAYS);
  }
  void forward(const Blobs& bottom, const Blobs& top) override { top[0]->share_data(*bottom[0]); }

  void backward(const Blobs& top, const std::vector<bool>& /*propagate_down*/,
                const Blobs& bottom) override {
    bottom[0]->share_diff(*top[0]);
  }
};

REGISTER_LAYER(Flatten, CPU, FlattenLayer);

}  // namespace vibnet
