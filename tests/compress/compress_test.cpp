#include "vibnet/compress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "support/error_of.h"
#include "vibnet/error.h"
#include "vibnet/filler.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

int axis_size(const BlobProto& blob, int axis) { return static_cast<int>(blob.shape().dim(axis)); }

NetParameter parse(const std::string& text) {
  NetParameter net;
  parse_prototxt(text, "test", &net);
  return net;
}

/// Random values for every parameter, with about `cut_share` of each bottleneck's units cut;
/// `signs` lets mu be negative.
NetParameter random_weights(const NetParameter& model, std::uint64_t seed, float cut_share,
                            bool signs) {
  Net net(model, NetOptions());
  RandomSequence random(random_key(seed, "weights"));
  for (const auto& layer : net.layers()) {
    for (std::size_t b = 0; b < layer->blobs().size(); ++b) {
      Blob& blob = *layer->blobs()[b];
      for (int i = 0; i < blob.count(); ++i) blob.mutable_cpu_data()[i] = 0.5f * random.normal();
    }
    if (layer->type() == "BatchNorm") {
      for (int i = 0; i < layer->blobs()[1]->count(); ++i)
        layer->blobs()[1]->mutable_cpu_data()[i] = 0.5f + random.uniform();
      layer->blobs()[2]->set_data(1);
    }
    if (layer->type() != "InformationBottleneck") continue;
    for (int c = 0; c < layer->blobs()[0]->count(); ++c) {
      const float sign = signs && random.uniform() < 0.3f ? -1.0f : 1.0f;
      layer->blobs()[0]->mutable_cpu_data()[c] = sign * (0.5f + random.uniform());
      const bool cut = c > 0 && random.uniform() < cut_share;
      layer->blobs()[1]->mutable_cpu_data()[c] = cut ? 3.0f : -9.0f;
    }
  }
  return net.to_proto();
}

/// The largest difference of two nets' outputs on the same noise, relative to the largest output.
double difference(const NetParameter& model, const NetParameter& weights,
                  const CompressedNet& compressed) {
  Net masked(model, NetOptions());
  masked.copy_weights(weights, "masked", Missing::FAIL);
  Net small(compressed.model, NetOptions());
  small.copy_weights(compressed.weights, "small", Missing::KEEP);
  const std::string input = masked.input_names().at(0);
  FillerParameter noise;
  noise.set_type("gaussian");
  fill(noise, random_key(5, "input"), masked.blob(input));
  std::copy_n(masked.blob(input)->cpu_data(), masked.blob(input)->count(),
              small.blob(input)->mutable_cpu_data());
  masked.forward();
  small.forward();
  const auto expected = masked.outputs();
  const auto found = small.outputs();
  EXPECT_EQ(expected.size(), found.size());
  double largest = 1e-30;
  double apart = 0;
  for (std::size_t i = 0; i < std::min(expected.size(), found.size()); ++i) {
    largest = std::max(largest, std::fabs(expected[i].second));
    apart = std::max(apart, std::fabs(expected[i].second - found[i].second));
  }
  return apart / largest;
}

CompressedNet compress_and_compare(const std::string& prototxt, std::uint64_t seed,
                                   float cut_share = 0.5f, bool signs = false) {
  const NetParameter model = parse(prototxt);
  const NetParameter weights = random_weights(model, seed, cut_share, signs);
  CompressedNet compressed = compress(model, weights, {});
  EXPECT_LT(difference(model, weights, compressed), 1e-4) << prototxt;
  return compressed;
}

/// A chain written layer by layer, each reading the one before.
class Chain {
 public:
  explicit Chain(const std::string& shape = "dim: 3 dim: 2 dim: 12 dim: 12") {
    text_ = "layer { name: 'data' type: 'Input' top: 'data' input_param { shape { " + shape +
            " } } }\n";
  }
  Chain& add(const std::string& type, const std::string& parameter = "") {
    const std::string name = "l" + std::to_string(++count_);
    text_ += "layer { name: '" + name + "' type: '" + type + "' bottom: '" + last_ + "' top: '" +
             name + "' " + parameter + " }\n";
    last_ = name;
    return *this;
  }
  Chain& in_place(const std::string& type, const std::string& parameter = "") {
    text_ += "layer { name: 'p" + std::to_string(++count_) + "' type: '" + type + "' bottom: '" +
             last_ + "' top: '" + last_ + "' " + parameter + " }\n";
    return *this;
  }
  Chain& convolution(int outputs) {
    return add("Convolution", "convolution_param { num_output: " + std::to_string(outputs) +
                                  " kernel_size: 3 pad: 1 }");
  }
  Chain& inner_product(int outputs) {
    return add("InnerProduct",
               "inner_product_param { num_output: " + std::to_string(outputs) + " }");
  }
  Chain& bottleneck() { return add("InformationBottleneck"); }
  Chain& max_pool() { return add("Pooling", "pooling_param { kernel_size: 2 stride: 2 }"); }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string last_ = "data";
  int count_ = 0;
};

int units(const CompressReport& report, const std::string& name) {
  for (const LayerReport& layer : report.layers)
    if (layer.name == name) return layer.units_after;
  return -1;
}

bool has_type(const NetParameter& net, const std::string& type) {
  return std::any_of(net.layer().begin(), net.layer().end(),
                     [&](const LayerParameter& layer) { return layer.type() == type; });
}

const LayerParameter& layer_of(const NetParameter& net, const std::string& name) {
  for (const LayerParameter& layer : net.layer())
    if (layer.name() == name) return layer;
  throw Error("no layer " + name);
}

TEST(Compress, CutsFiltersAndFoldsMu) {
  const Chain chain =
      Chain().convolution(8).in_place("ReLU").bottleneck().max_pool().convolution(6).inner_product(
          4);
  const CompressedNet small = compress_and_compare(chain.text(), 1);
  const int kept = units(small.report, "l3");
  EXPECT_GT(kept, 0);
  EXPECT_LT(kept, 8);
  EXPECT_EQ(static_cast<int>(layer_of(small.model, "l1").convolution_param().num_output()), kept);
  EXPECT_EQ(axis_size(layer_of(small.weights, "l5").blobs(0), 1), kept);
  EXPECT_FALSE(has_type(small.model, "InformationBottleneck"));
  EXPECT_FALSE(has_type(small.model, "Scale"));
  EXPECT_TRUE(small.report.notes.empty());
}

TEST(Compress, KeepsTheOneSlopeOfASharedPReLU) {
  const std::string shared = "prelu_param { channel_shared: true }";
  const Chain chain =
      Chain().convolution(8).in_place("PReLU", shared).bottleneck().inner_product(4);
  const CompressedNet small = compress_and_compare(chain.text(), 1);
  EXPECT_LT(units(small.report, "l3"), 8);
  EXPECT_EQ(layer_of(small.weights, "p2").blobs(0).data_size(), 1);
}

TEST(Compress, CutsColumnsBehindAMapAndAFlatten) {
  for (const bool flattens : {false, true}) {
    Chain chain;
    chain.convolution(8).bottleneck().max_pool();
    if (flattens) chain.add("Flatten");
    chain.inner_product(4);
    const CompressedNet small = compress_and_compare(chain.text(), 2);
    const std::string consumer = flattens ? "l5" : "l4";
    EXPECT_EQ(axis_size(layer_of(small.weights, consumer).blobs(0), 1),
              units(small.report, "l2") * 36);
  }
}

TEST(Compress, SelectsSingleFeaturesWithStandardLayers) {
  const Chain chain = Chain()
                          .convolution(5)
                          .in_place("ReLU")
                          .bottleneck()
                          .max_pool()
                          .add("Flatten")
                          .bottleneck()
                          .inner_product(7)
                          .in_place("ReLU")
                          .bottleneck()
                          .inner_product(3);
  const CompressedNet small = compress_and_compare(chain.text(), 3);
  EXPECT_TRUE(has_type(small.deploy, "Slice"));
  EXPECT_TRUE(has_type(small.deploy, "Concat"));
  EXPECT_FALSE(has_type(small.deploy, "InformationBottleneck"));
}

TEST(Compress, ShortensTheInputOfAnInnerProduct) {
  const Chain chain = Chain("dim: 3 dim: 20")
                          .bottleneck()
                          .inner_product(7)
                          .in_place("ReLU")
                          .bottleneck()
                          .inner_product(3);
  const NetParameter model = parse(chain.text());
  const NetParameter weights = random_weights(model, 4, 0.5f, true);
  const CompressedNet small = compress(model, weights, {});
  EXPECT_LT(difference(model, weights, small), 1e-4);
  const int kept = units(small.report, "l1");
  EXPECT_EQ(static_cast<int>(small.report.kept_inputs.size()), kept);
  EXPECT_LT(kept, 20);
  EXPECT_EQ(small.deploy.layer(0).input_param().shape(0).dim(1), kept);
  EXPECT_FALSE(has_type(small.deploy, "Slice"));

  Net deployed(small.deploy, NetOptions());
  deployed.copy_weights(small.weights, "small", Missing::FAIL);
  Net masked(model, NetOptions());
  masked.copy_weights(weights, "masked", Missing::FAIL);
  masked.blob("data")->set_data(0.25f);
  deployed.blob("data")->set_data(0.25f);
  masked.forward();
  deployed.forward();
  for (int i = 0; i < 3; ++i)
    EXPECT_NEAR(masked.outputs()[i].second, deployed.outputs()[i].second, 1e-4);
}

TEST(Compress, FoldsAnInputBottleneckIntoAConvolution) {
  const Chain chain = Chain().bottleneck().convolution(4).inner_product(3);
  const CompressedNet small = compress_and_compare(chain.text(), 5, 0.6f, true);
  EXPECT_TRUE(small.report.kept_inputs.empty());
  EXPECT_FALSE(has_type(small.model, "Scale"));
}

TEST(Compress, KeepsAScaleWhereANegativeMuMeetsMaxPooling) {
  const Chain chain =
      Chain().convolution(12).in_place("ReLU").bottleneck().max_pool().inner_product(3);
  const CompressedNet small = compress_and_compare(chain.text(), 6, 0.5f, true);
  EXPECT_TRUE(has_type(small.model, "Scale"));
  EXPECT_EQ(small.report.notes.size(), 1u);
  EXPECT_EQ(static_cast<int>(layer_of(small.model, "l1").convolution_param().num_output()),
            units(small.report, "l3"));
}

TEST(Compress, StaysExactWhereAZeroBecomesAConstant) {
  const Chain chain = Chain()
                          .convolution(6)
                          .bottleneck()
                          .add("BatchNorm")
                          .add("Scale", "scale_param { bias_term: true }")
                          .in_place("ReLU")
                          .convolution(4)
                          .inner_product(3);
  const NetParameter model = parse(chain.text());
  NetParameter weights = random_weights(model, 7, 0.5f, true);
  for (LayerParameter& layer : *weights.mutable_layer())  // every dead channel comes out above 0
    if (layer.name() == "l4")
      for (float& shift : *layer.mutable_blobs(1)->mutable_data()) shift += 9;
  const CompressedNet small = compress(model, weights, {});
  EXPECT_LT(difference(model, weights, small), 1e-4);
  EXPECT_NE(small.report.notes.at(0).find("'l6' (Convolution) keeps"), std::string::npos);
  EXPECT_EQ(layer_of(small.model, "l6").blobs_size(), 0);
  EXPECT_EQ(layer_of(small.model, "l1").convolution_param().num_output(), 6u);
}

TEST(Compress, PutsConstantsIntoABiasWhereNothingPads) {
  const Chain chain =
      Chain()
          .convolution(6)
          .bottleneck()
          .add("Bias")
          .add("Sigmoid")
          .add("Convolution", "convolution_param { num_output: 4 kernel_size: 3 bias_term: false }")
          .inner_product(3);
  const CompressedNet small = compress_and_compare(chain.text(), 7, 0.5f, true);
  EXPECT_EQ(static_cast<int>(layer_of(small.model, "l1").convolution_param().num_output()),
            units(small.report, "l2"));
  EXPECT_TRUE(layer_of(small.model, "l5").convolution_param().bias_term());
}

TEST(Compress, CutsBatchNormAndScaleBeforeTheBottleneck) {
  const Chain chain = Chain()
                          .convolution(9)
                          .add("BatchNorm")
                          .in_place("Scale", "scale_param { bias_term: true }")
                          .in_place("ReLU")
                          .bottleneck()
                          .add("Dropout")
                          .convolution(4)
                          .inner_product(3);
  const CompressedNet small = compress_and_compare(chain.text(), 8);
  EXPECT_EQ(axis_size(layer_of(small.weights, "l2").blobs(0), 0), units(small.report, "l5"));
}

TEST(Compress, RefusesWhatItCannotDo) {
  const auto message = [](const std::string& text, float log_sigma2) {
    const NetParameter model = parse(text);
    Net net(model, NetOptions());
    for (const auto& layer : net.layers())
      if (layer->type() == "InformationBottleneck") layer->blobs()[1]->set_data(log_sigma2);
    try {
      compress(model, net.to_proto(), {});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(message(Chain().convolution(4).inner_product(3).text(), 0).find("no Information"),
            std::string::npos);
  const Chain chain = Chain().convolution(4).bottleneck().inner_product(3);
  EXPECT_NE(message(chain.text(), 5).find("'l2' would lose every unit"), std::string::npos);
}

TEST(Compress, NamesTheGateThatNoPathLeadsAround) {
  const NetParameter model = parse(R"(
    layer { name: 'data' type: 'Input' top: 'data' input_param { shape { dim: 1 dim: 3 } } }
    layer { name: 'a' type: 'InnerProduct' bottom: 'data' top: 'a'
      inner_product_param { num_output: 4 weight_filler { type: 'xavier' } } }
    layer { name: 'b' type: 'InnerProduct' bottom: 'data' top: 'b'
      inner_product_param { num_output: 4 weight_filler { type: 'xavier' } } }
    layer { name: 'beside' type: 'InformationBottleneck' bottom: 'a' top: 'beside' }
    layer { name: 'sum' type: 'Eltwise' bottom: 'beside' bottom: 'b' top: 'sum' }
    layer { name: 'across' type: 'InformationBottleneck' bottom: 'sum' top: 'across' }
    layer { name: 'out' type: 'InnerProduct' bottom: 'across' top: 'out'
      inner_product_param { num_output: 2 weight_filler { type: 'xavier' } } })");
  Net net(model, NetOptions());
  for (const auto& layer : net.layers())
    if (layer->type() == "InformationBottleneck") layer->blobs()[1]->set_data(5);
  EXPECT_NE(error_of([&] { compress(model, net.to_proto(), {}); }).find("'across' would lose"),
            std::string::npos);
}

/// Two branches that multiply, of which each keeps what the other does not.
TEST(Compress, AdvisesWhatHelps) {
  std::string text = Chain("dim: 1 dim: 2").text();
  for (const std::string name : {"a", "b"})
    text += "layer { name: '" + name + "' type: 'InnerProduct' bottom: 'data' top: '" + name +
            "' inner_product_param { num_output: 2 } }"
            "layer { name: 'ib_" +
            name + "' type: 'InformationBottleneck' bottom: '" + name + "' top: 'ib_" + name +
            "' }";
  text +=
      "layer { name: 'both' type: 'Eltwise' bottom: 'ib_a' bottom: 'ib_b' top: 'both' "
      "eltwise_param { operation: PROD } }"
      "layer { name: 'out' type: 'InnerProduct' bottom: 'both' top: 'out' "
      "inner_product_param { num_output: 2 } }";
  const NetParameter model = parse(text);
  const auto message = [&](const std::vector<float>& a, const std::vector<float>& b,
                           bool are_trained) {
    Net net(model, NetOptions());
    std::copy_n(a.data(), 2, net.layer("ib_a")->blobs()[1]->mutable_cpu_data());
    std::copy_n(b.data(), 2, net.layer("ib_b")->blobs()[1]->mutable_cpu_data());
    CompressOptions options;
    options.gates_are_trained = are_trained;
    try {
      compress(model, net.to_proto(), options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message({-9, 9}, {9, -9}, true),
            "the bottlenecks together would cut every path to 'out'; train with lower gammas or a "
            "lower kl_weight, or give a higher --threshold");
  EXPECT_EQ(message({-9, 9}, {9, -9}, false),
            "the criterion's cuts together would cut every path to 'out'; give a higher "
            "--threshold");
  EXPECT_NE(message({-9, 9}, {9, 9}, true).find("lower kl_weight; or give"), std::string::npos);
  EXPECT_NE(message({-9, 9}, {9, 9}, false).find("reach the output; give --threshold above"),
            std::string::npos);
}

TEST(Compress, AReshapeMayStateTheBatch) {
  const std::string states_batch = "reshape_param { shape { dim: 3 dim: 1152 } }";
  const std::string leaves_rest = "reshape_param { shape { dim: 3 dim: -1 } }";
  for (const std::string& reshape : {states_batch, leaves_rest}) {
    const Chain chain =
        Chain().convolution(8).bottleneck().add("Reshape", reshape).inner_product(4);
    const CompressedNet small = compress_and_compare(chain.text(), 2);
    EXPECT_EQ(small.deploy.layer(0).input_param().shape(0).dim(0), 3);
    ASSERT_EQ(small.report.notes.size(), 1u);
    EXPECT_NE(small.report.notes[0].find("`dim: 0` stands for the batch"), std::string::npos);
    Net deploy(small.deploy, NetOptions());
    deploy.copy_weights(small.weights, "small", Missing::FAIL);
  }
  const Chain chain = Chain().convolution(8).bottleneck().add(
      "Reshape", "reshape_param { shape { dim: 0 dim: 1152 } }");
  EXPECT_EQ(compress_and_compare(chain.text(), 2).deploy.layer(0).input_param().shape(0).dim(0), 1);
}

TEST(Compress, MissingWeightsAreAnError) {
  const NetParameter model = parse(Chain().convolution(4).bottleneck().inner_product(3).text());
  NetParameter weights = random_weights(model, 1, 0.5f, false);
  weights.mutable_layer()->RemoveLast();
  EXPECT_THROW(compress(model, weights, {}), Error);
}

TEST(Compress, AChainMayEndInHDF5Output) {
  const std::string chain =
      "layer { name: 'data' type: 'Input' top: 'data' top: 'label' input_param { "
      "shape { dim: 2 dim: 3 } shape { dim: 2 } } }"
      "layer { name: 'a' type: 'InnerProduct' bottom: 'data' top: 'a' "
      "inner_product_param { num_output: 8 } }"
      "layer { name: 'ib' type: 'InformationBottleneck' bottom: 'a' top: 'ib' }"
      "layer { name: 'b' type: 'InnerProduct' bottom: 'ib' top: 'b' "
      "inner_product_param { num_output: 2 } }";
  const NetParameter weights = random_weights(parse(chain), 1, 0.5f, false);
  const NetParameter model =
      parse(chain + "layer { name: 'out' type: 'HDF5Output' bottom: 'b' bottom: 'label' }");
  const CompressedNet compressed = compress(model, weights, {});
  EXPECT_EQ(compressed.model.layer(compressed.model.layer_size() - 1).type(), "HDF5Output");
  EXPECT_EQ(compressed.deploy.layer(compressed.deploy.layer_size() - 1).name(), "b");
}

}  // namespace
}  // namespace vibnet
