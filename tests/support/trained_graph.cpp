#include "support/trained_graph.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "vibnet/random.h"

namespace vibnet {
namespace {

void set_inputs(const NamedValues& inputs, Net* net) {
  for (const std::string& name : net->input_names()) {
    const std::vector<float>& values = inputs.at(name).values;
    std::copy(values.begin(), values.end(), net->blob(name)->mutable_cpu_data());
  }
}

}  // namespace

NetParameter for_training(const NetParameter& model, InPlace in_place) {
  NetParameter net = model;
  net.clear_layer();
  net.set_force_backward(true);
  std::map<std::string, std::string> names;
  const NetParameter form = training_form(model);
  for (LayerParameter layer : form.layer()) {
    const bool is_in_place =
        layer.bottom_size() > 0 && layer.top_size() > 0 && layer.bottom(0) == layer.top(0);
    for (std::string& bottom : *layer.mutable_bottom())
      if (names.count(bottom) > 0) bottom = names.at(bottom);
    if (is_in_place && in_place == InPlace::NO) {
      names[layer.top(0)] = layer.name();
      layer.set_top(0, layer.name());
    }
    if (layer.type() == "Dropout") layer.mutable_dropout_param()->set_dropout_ratio(0);
    if (layer.type() == "BatchNorm") layer.mutable_batch_norm_param()->set_eps(0.1F);
    *net.add_layer() = layer;
  }
  return net;
}

NetParameter with_exceptions(NetParameter model, std::uint32_t seed) {
  RandomSequence random(random_key(seed, "exceptions"));
  const auto is_drawn = [&] { return random.uniform() < 0.1F; };
  for (LayerParameter& layer : *model.mutable_layer()) {
    if (layer.bottom_size() == 0 || layer.type() == "Silence") continue;
    const std::string& type = layer.type();
    const bool learns =
        type == "Convolution" || type == "InnerProduct" || type == "InformationBottleneck";
    if (learns && layer.param_size() == 0 && is_drawn()) layer.add_param()->set_lr_mult(0);
    if (layer.top_size() == 1 && layer.loss_weight_size() == 0 && is_drawn())
      layer.add_loss_weight(0.3F);
    if (!is_drawn()) continue;
    for (int b = 0; b < layer.bottom_size(); ++b) layer.add_propagate_down(false);
  }
  model.set_force_backward(false);
  return model;
}

NamedValues forward(const NamedValues& inputs, Net* net) {
  set_inputs(inputs, net);
  net->forward();
  NamedValues outputs;
  for (const std::string& name : net->output_names()) {
    Blob* blob = net->blob(name);
    outputs[name] = {blob->shape(), {blob->cpu_data(), blob->cpu_data() + blob->count()}};
    for (int i = 0; i < blob->count(); ++i)
      blob->mutable_cpu_diff()[i] = 1 + 0.5F * std::sin(static_cast<float>(i));
  }
  net->clear_gradients();
  return outputs;
}

NetParameter gradients_of(const Net& net) {
  NetParameter gradients = net.to_proto(true);
  for (LayerParameter& layer : *gradients.mutable_layer())
    for (BlobProto& blob : *layer.mutable_blobs()) {
      blob.mutable_data()->Swap(blob.mutable_diff());
      if (blob.data_size() == 0) blob.mutable_data()->Resize(blob.diff_size(), 0);
      blob.clear_diff();
    }
  return gradients;
}

NamedValues as_one(const NetParameter& net) {
  std::map<std::string, const LayerParameter*> layers;
  for (const LayerParameter& layer : net.layer())
    if (layer.blobs_size() > 0) layers[layer.name()] = &layer;
  BlobValues all;
  for (const auto& entry : layers)
    for (const BlobProto& blob : entry.second->blobs())
      all.values.insert(all.values.end(), blob.data().begin(), blob.data().end());
  all.shape = {static_cast<int>(all.values.size())};
  return {{"all", all}};
}

std::vector<NamedValues> two_passes(const NetParameter& model, const NetParameter& weights,
                                    Net* net) {
  net->copy_weights(weights, "weights", Missing::FAIL);
  const NamedValues inputs = noise_for(model, 1);
  std::vector<NamedValues> found;
  for (int pass = 0; pass < 2; ++pass) {
    found.push_back(forward(inputs, net));
    net->backward();
    found.push_back(as_one(gradients_of(*net)));
  }
  return found;
}

}  // namespace vibnet
