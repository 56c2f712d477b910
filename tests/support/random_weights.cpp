#include "support/random_weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "support/trained_net.h"
#include "vibnet/net.h"
#include "vibnet/random.h"

namespace vibnet {
namespace {

constexpr float kFarFromThreshold = 5;
constexpr double kShareThatDies = 0.2;

class WeightDrawer {
 public:
  WeightDrawer(std::uint32_t seed, const Masks& masks)
      : seed_(seed), random_(seed), masks_(masks) {}

  void fill(LayerParameter* layer) {
    const std::string& type = layer->type();
    if (type == "BatchNorm") return fill_batch_norm(layer);
    if (type == "InformationBottleneck") return fill_bottleneck(layer);
    for (BlobProto& blob : *layer->mutable_blobs()) {
      const bool is_filter = blob.shape().dim_size() > 1 && type != "Scale" && type != "Bias";
      normal(is_filter ? 1.4 / std::sqrt(fan_in(*layer, blob)) : 0.4, &blob);
    }
    if (type == "Scale" && layer->blobs_size() > 0 && layer->bottom_size() == 1)
      fill_scales(layer->mutable_blobs(0));
  }

 private:
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }
  double uniform(double from, double to) {
    return std::uniform_real_distribution<double>(from, to)(random_);
  }

  void normal(double deviation, BlobProto* blob) {
    std::normal_distribution<double> values(0, deviation);
    for (float& value : *blob->mutable_data()) value = static_cast<float>(values(random_));
  }

  static double fan_in(const LayerParameter& layer, const BlobProto& filters) {
    const bool turned = layer.type() == "Deconvolution" || layer.inner_product_param().transpose();
    const double outputs = static_cast<double>(filters.shape().dim(0));
    return std::max(1.0, turned ? outputs : filters.data_size() / outputs);
  }

  void fill_batch_norm(LayerParameter* layer) {
    normal(0.4, layer->mutable_blobs(0));
    for (float& value : *layer->mutable_blobs(1)->mutable_data())
      value = static_cast<float>(uniform(0.7, 3));
    layer->mutable_blobs(2)->set_data(0, 1.5F);
  }

  void fill_scales(BlobProto* scales) {
    for (float& value : *scales->mutable_data()) {
      value = static_cast<float>(uniform(0.5, 1.5));
      if (chance(0.2)) value = chance(0.3) ? 0 : -value;
    }
  }

  void fill_bottleneck(LayerParameter* layer) {
    const int units = layer->blobs(0).data_size();
    const bool dies = masks_.may_die.count(layer->name()) > 0 && chance(kShareThatDies);
    const int kept =
        dies ? 0 : std::max(1, static_cast<int>(std::lround(units * (1 - masks_.dropped))));
    const float threshold = layer->information_bottleneck_param().threshold();
    const std::vector<int> order = ranking(units);
    for (int rank = 0; rank < units; ++rank) {
      const bool stays = rank < kept;
      const double size = uniform(0.5, 1.5);
      double mu = chance(masks_.negative) ? -size : size;
      if (!stays && chance(masks_.zero)) mu = 0;
      layer->mutable_blobs(0)->set_data(order[rank], static_cast<float>(mu));
      layer->mutable_blobs(1)->set_data(order[rank],
                                        static_cast<float>(2 * std::log(size)) + threshold +
                                            (stays ? -kFarFromThreshold : kFarFromThreshold));
    }
  }

  /// The units, those to be kept first.
  std::vector<int> ranking(int units) {
    std::mt19937 common(seed_ + 1000003U * static_cast<std::uint32_t>(units));
    std::uniform_real_distribution<double> places(0, 1);
    std::vector<double> place(units);
    for (double& value : place)
      value = masks_.alike * places(common) + (1 - masks_.alike) * places(random_);
    std::vector<int> order(units);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) { return place[a] < place[b]; });
    return order;
  }

  std::uint32_t seed_;
  std::mt19937 random_;
  const Masks& masks_;
};

}  // namespace

NetParameter random_weights_with_masks(const NetParameter& model, std::uint32_t seed,
                                       const Masks& masks) {
  Net net(model, NetOptions());
  NetParameter weights = net.to_proto();
  WeightDrawer drawer(seed, masks);
  for (LayerParameter& layer : *weights.mutable_layer()) drawer.fill(&layer);
  // Through the net, where the last of those that share a parameter counts for all.
  net.copy_weights(weights, "random weights", Missing::KEEP);
  return net.to_proto();
}

}  // namespace vibnet
