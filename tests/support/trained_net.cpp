#include "support/trained_net.h"

#include <cmath>
#include <random>
#include <stdexcept>

#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

constexpr float kFarFromThreshold = 5;

void fill(std::mt19937* random, BlobProto* blob) {
  std::normal_distribution<float> values(0, 0.5F);
  for (float& value : *blob->mutable_data()) value = values(*random);
}

void fill_batch_norm(std::mt19937* random, LayerParameter* layer) {
  std::uniform_real_distribution<float> variances(0.5F, 2);
  fill(random, layer->mutable_blobs(0));
  for (float& value : *layer->mutable_blobs(1)->mutable_data()) value = variances(*random);
  layer->mutable_blobs(2)->set_data(0, 1.5F);
}

void fill_bottleneck(std::mt19937* random, double share_kept, double share_negative,
                     LayerParameter* layer) {
  std::uniform_real_distribution<float> sizes(0.4F, 1.6F);
  std::bernoulli_distribution negative(share_negative);
  std::bernoulli_distribution kept(share_kept);
  for (int i = 0; i < layer->blobs(0).data_size(); ++i) {
    const float size = sizes(*random);
    const bool stays = kept(*random) || i == 0;
    layer->mutable_blobs(0)->set_data(i, negative(*random) ? -size : size);
    layer->mutable_blobs(1)->set_data(
        i, 2 * std::log(size) + (stays ? -kFarFromThreshold : kFarFromThreshold));
  }
}

/// Scales about 1; other parameters of one axis, biases say, around 0.
void fill_channels(std::mt19937* random, LayerParameter* layer) {
  std::uniform_real_distribution<float> scales(0.5F, 1.5F);
  for (BlobProto& blob : *layer->mutable_blobs())
    if (blob.shape().dim_size() < 2) fill(random, &blob);
  if (layer->type() != "Scale") return;
  for (float& value : *layer->mutable_blobs(0)->mutable_data()) value = scales(*random);
}

}  // namespace

NetParameter net_of(const std::string& prototxt) {
  NetParameter net;
  parse_prototxt(prototxt, "test", &net);
  return net;
}

std::string input_of(const Shape& shape) {
  std::string text = "layer { name: 'data' type: 'Input' top: 'data' input_param { shape {";
  for (const int dimension : shape) text += " dim: " + std::to_string(dimension);
  return text + " } } }\n";
}

NetParameter random_weights(const NetParameter& model, std::uint32_t seed, double share_kept,
                            double share_negative) {
  std::mt19937 random(seed);
  NetParameter weights = Net(model, NetOptions()).to_proto();
  for (LayerParameter& layer : *weights.mutable_layer()) {
    if (layer.type() == "BatchNorm") {
      fill_batch_norm(&random, &layer);
    } else if (layer.type() == "InformationBottleneck") {
      fill_bottleneck(&random, share_kept, share_negative, &layer);
    } else {
      for (BlobProto& blob : *layer.mutable_blobs()) fill(&random, &blob);
    }
  }
  return weights;
}

NetParameter lively_weights(const NetParameter& model, std::uint32_t seed, double share_kept) {
  std::mt19937 random(seed);
  NetParameter weights = Net(model, NetOptions()).to_proto();
  for (LayerParameter& layer : *weights.mutable_layer()) {
    if (layer.type() == "BatchNorm")
      fill_batch_norm(&random, &layer);
    else if (layer.type() == "InformationBottleneck")
      fill_bottleneck(&random, share_kept, 0, &layer);
    else
      fill_channels(&random, &layer);
  }
  return weights;
}

void set_bottleneck(const std::string& name, const std::vector<float>& mu,
                    const std::vector<bool>& kept, NetParameter* weights) {
  for (LayerParameter& layer : *weights->mutable_layer()) {
    if (layer.name() != name) continue;
    if (layer.blobs(0).data_size() != static_cast<int>(mu.size()) || mu.size() != kept.size())
      throw std::runtime_error(name + " has another number of units");
    for (std::size_t i = 0; i < mu.size(); ++i) {
      const int unit = static_cast<int>(i);
      layer.mutable_blobs(0)->set_data(unit, mu[i]);
      layer.mutable_blobs(1)->set_data(
          unit,
          2 * std::log(std::fabs(mu[i])) + (kept[i] ? -kFarFromThreshold : kFarFromThreshold));
    }
  }
}

const LayerParameter* find_layer(const NetParameter& net, const std::string& name) {
  for (const LayerParameter& layer : net.layer())
    if (layer.name() == name) return &layer;
  return nullptr;
}

std::vector<std::string> names_of(const NetParameter& net) {
  std::vector<std::string> names;
  for (const LayerParameter& layer : net.layer()) names.push_back(layer.name());
  return names;
}

std::vector<float> selected_values(const std::vector<float>& input, const Shape& from,
                                   const Shape& to, const std::vector<int>& kept) {
  const int inner = to.size() == 2 ? 1 : count(to, 2, static_cast<int>(to.size()));
  const int sample = count(from, 1, static_cast<int>(from.size()));
  std::vector<float> values;
  for (int n = 0; n < from[0]; ++n)
    for (const int unit : kept)
      for (int i = 0; i < inner; ++i) values.push_back(input[n * sample + unit * inner + i]);
  return values;
}

}  // namespace vibnet
