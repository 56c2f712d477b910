// Writes what check_onnx.py compares: onnx_cases FOLDER. For each net of layer_cases.h, and each of
// models/, plain and compressed: NAME.onnx, and as raw floats the inputs and the outputs that
// vibnet computes. manifest.txt has a line for each of these: NAME, "in" or "out", file, value,
// shape.

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "export/layer_cases.h"
#include "export/to_onnx.h"
#include "net/deploy.h"
#include "net/filter.h"
#include "support/models.h"
#include "support/random_weights.h"
#include "support/small_models.h"
#include "support/with_bottlenecks.h"
#include "vibnet/compress.h"
#include "vibnet/error.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using Random = std::mt19937;

float normal(float scale, Random* random) {
  return std::normal_distribution<float>(0, scale)(*random);
}

float uniform(float from, float to, Random* random) {
  return std::uniform_real_distribution<float>(from, to)(*random);
}

void set_batch_norm(Random* random, Layer* layer) {
  float* variances = layer->blobs()[1]->mutable_cpu_data();
  for (int c = 0; c < layer->blobs()[1]->count(); ++c) {
    layer->blobs()[0]->mutable_cpu_data()[c] = normal(0.2f, random);
    variances[c] = uniform(0.5f, 1.5f, random);
  }
  layer->blobs()[2]->set_data(1.5f);
}

/// Two of three units are kept, the first one always.
void set_bottleneck(Random* random, Layer* layer) {
  float* mu = layer->blobs()[0]->mutable_cpu_data();
  float* log_sigma2 = layer->blobs()[1]->mutable_cpu_data();
  for (int c = 0; c < layer->blobs()[0]->count(); ++c) {
    mu[c] = uniform(0.7f, 1.3f, random);
    log_sigma2[c] = c % 3 == 1 ? 4 : -6;
  }
}

/// The same, at factors between 0 and 1.
void set_hard_concrete(Random* random, Layer* layer) {
  float* log_alpha = layer->blobs()[0]->mutable_cpu_data();
  for (int c = 0; c < layer->blobs()[0]->count(); ++c)
    log_alpha[c] = c % 3 == 1 ? -4 : uniform(-1, 1, random);
}

/// Adds noise to what the fillers made, little enough that deep nets' values stay small.
void add_noise(Random* random, Blob* blob) {
  const int fan_in = blob->axes() < 2 ? 100 : std::max(1, blob->count(1));
  float* values = blob->mutable_cpu_data();
  for (int i = 0; i < blob->count(); ++i)
    values[i] += normal(0.7f / std::sqrt(static_cast<float>(fan_in)), random);
}

void set_weights(Net* net) {
  Random random(1);
  for (const auto& layer : net->layers()) {
    if (layer->type() == "BatchNorm") {
      set_batch_norm(&random, layer.get());
    } else if (layer->type() == "InformationBottleneck") {
      set_bottleneck(&random, layer.get());
    } else if (layer->type() == "HardConcrete") {
      set_hard_concrete(&random, layer.get());
    } else {
      for (const auto& blob : layer->blobs()) add_noise(&random, blob.get());
    }
  }
}

float value_for(const std::string& input, Random* random) {
  if (input.rfind("index", 0) == 0) return static_cast<float>((*random)() % 3);
  if (input.rfind("positive", 0) == 0) return uniform(0.1f, 3, random);
  if (input.rfind("steps", 0) == 0) return static_cast<float>((*random)() % 5) - 2;
  return normal(1.5f, random);
}

void fill_inputs(Net* net) {
  Random random(2);
  for (const std::string& name : net->input_names()) {
    Blob* input = net->blob(name);
    for (int i = 0; i < input->count(); ++i)
      input->mutable_cpu_data()[i] = value_for(name, &random);
  }
}

/// An open batch is checked with one that is not the net's.
void grow_open_batches(const onnx::ModelProto& model, Net* net) {
  for (const auto& input : model.graph().input()) {
    Shape shape = net->blob(input.name())->shape();
    const auto& dims = input.type().tensor_type().shape().dim();
    if (dims.empty() || !dims[0].has_dim_param()) continue;
    ++shape[0];
    net->blob(input.name())->reshape(shape);
  }
  net->reshape();
}

NetParameter deployed(const NetParameter& model, const Shape& shape) {
  if (!shape.empty()) return make_deploy(model, {{"data", shape}});
  return deploy_net(phase_of(model, TEST), {});
}

class Cases {
 public:
  explicit Cases(std::string folder)
      : folder_(std::move(folder)), manifest_(folder_ + "/manifest.txt") {}

  /// Calls write(), which makes the case; where that fails, the manifest says why.
  template <typename Write>
  void attempt(const std::string& name, const Write& write) {
    try {
      write();
    } catch (const Error& error) {
      manifest_ << name << "\tfail\t" << error.what() << "\n";
    }
  }

  /// `shape` is that of the net's one input; empty where its Input layers state theirs.
  void write(const std::string& name, const NetParameter& model, const NetParameter& weights,
             const Shape& shape) {
    const onnx::ModelProto exported = to_onnx(model, weights, "weights", {shape});
    write_binary(exported, folder_ + "/" + name + ".onnx");
    Net net(deployed(model, shape), NetOptions());
    if (has_weights(net)) net.copy_weights(weights, "weights", Missing::FAIL);
    grow_open_batches(exported, &net);
    fill_inputs(&net);
    for (const auto& input : exported.graph().input())
      write_blob(name, "in", input.name(), *net.blob(input.name()));
    net.forward();
    for (int i = 0; i < exported.graph().output_size(); ++i)
      write_blob(name, "out", exported.graph().output(i).name(), *net.blob(net.output_names()[i]));
  }

  static bool has_weights(const Net& net) {
    return std::any_of(net.layers().begin(), net.layers().end(),
                       [](const auto& layer) { return !layer->blobs().empty(); });
  }

  void write_blob(const std::string& name, const char* what, const std::string& value,
                  const Blob& blob) {
    const std::string file = std::to_string(files_++) + ".bin";
    std::ofstream(folder_ + "/" + file, std::ios::binary)
        .write(reinterpret_cast<const char*>(blob.cpu_data()),
               static_cast<std::streamsize>(blob.count() * sizeof(float)));
    manifest_ << name << "\t" << what << "\t" << file << "\t" << value << "\t";
    for (int axis = 0; axis < blob.axes(); ++axis)
      manifest_ << (axis == 0 ? "" : "x") << blob.shape(axis);
    manifest_ << "\n";
    if (!manifest_) fail(folder_, ": cannot be written");
  }

  std::string folder_;
  std::ofstream manifest_;
  int files_ = 0;
};

float largest_score(const Net& net) {
  float largest = 0;
  for (std::size_t i = 0; i < net.layers().size(); ++i) {
    if (net.layers()[i]->type() != "Softmax") continue;
    const Blob& scores = *net.bottoms(static_cast<int>(i))[0];
    for (int v = 0; v < scores.count(); ++v)
      largest = std::max(largest, std::fabs(scores.cpu_data()[v]));
  }
  return largest;
}

/// Scales the last weights, so that no Softmax ends in ones and zeros, which hide what differs.
void calm_scores(Net* net) {
  const auto& layers = net->layers();
  const auto last = std::find_if(layers.rbegin(), layers.rend(),
                                 [](const auto& layer) { return !layer->blobs().empty(); });
  fill_inputs(net);
  net->forward();
  const float largest = largest_score(*net);
  if (last == layers.rend() || largest == 0) return;
  for (const auto& blob : (*last)->blobs())
    for (int i = 0; i < blob->count(); ++i) blob->mutable_cpu_data()[i] *= 4 / largest;
}

NetParameter weights_for(const NetParameter& deploy) {
  Net net(deploy, NetOptions());
  set_weights(&net);
  calm_scores(&net);
  return net.to_proto();
}

void write_small_nets(Cases* cases) {
  std::vector<OnnxCase> nets = layer_cases();
  for (OnnxCase& net : graph_cases()) nets.push_back(std::move(net));
  for (const OnnxCase& net : nets) {
    NetParameter model;
    parse_prototxt(net.prototxt, net.name, &model);
    cases->attempt(net.name,
                   [&] { cases->write(net.name, model, weights_for(deployed(model, {})), {}); });
  }
}

void write_compressed(const std::string& name, const NetParameter& model,
                      const NetParameter& weights, const CompressOptions& options, Cases* cases) {
  const CompressedNet small = compress(model, weights, options);
  cases->write(name, small.deploy, small.weights, {});
}

void write_model(const PublishedNet& published, Cases* cases) {
  const std::string name = published.folder;
  const Shape& input = published.input;
  const NetParameter model = read_net_prototxt(model_file(name, "train_val.prototxt"));
  cases->attempt(name, [&] {
    const NetParameter weights = weights_for(deployed(model, input));
    cases->write(name, model, weights, input);
  });
  const std::string compressed = name + "_compressed";
  cases->attempt(compressed, [&] {
    const NetParameter whole = phase_of(with_bottlenecks(model), TEST);
    CompressOptions options;
    options.input_shapes["data"] = input;
    write_compressed(compressed, whole, weights_for(deployed(whole, input)), options, cases);
  });
}

/// A small model with bottlenecks on every edge that allows one.
void write_small_model(const SmallModel& small, bool folds, Cases* cases) {
  const std::string name = small.name + (folds ? "_edges_folded" : "_edges");
  cases->attempt(name, [&] {
    const NetParameter model = with_bottlenecks_on_edges(deploy_of(small));
    Masks masks;
    masks.dropped = 0.6;
    masks.prefers_living = 1;
    CompressOptions options;
    options.fold_batchnorm = folds;
    write_compressed(name, model, random_weights_with_masks(model, 1, masks), options, cases);
  });
}

void write_all(const std::string& folder) {
  std::filesystem::create_directories(folder);
  Cases cases(folder);
  write_small_nets(&cases);
  for (const PublishedNet& net : published_nets()) write_model(net, &cases);
  for (const SmallModel& model : small_models())
    for (const bool folds : {false, true}) write_small_model(model, folds, &cases);
}

}  // namespace
}  // namespace vibnet

int main(int argc, char** argv) {
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::GLOG_WARNING;
  if (argc != 2) {
    std::cerr << "usage: onnx_cases FOLDER\n";
    return 2;
  }
  try {
    vibnet::write_all(argv[1]);
  } catch (const std::exception& error) {
    std::cerr << "onnx_cases: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
