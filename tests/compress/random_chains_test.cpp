#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "support/trained_net.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

constexpr int kChains = 200;
constexpr double kTolerance = 1e-4;

/// Draws a chain of layers: convolutions with what may stand around them, then InnerProducts, and
/// bottlenecks anywhere.
class ChainWriter {
 public:
  explicit ChainWriter(std::uint32_t seed) : random_(seed) {}

  std::string write() {
    const bool is_picture = chance(0.75);
    extent_ = is_picture ? 8 + 2 * below(3) : 0;
    text_ =
        input_of(is_picture ? Shape{3, 1 + below(3), extent_, extent_} : Shape{3, 4 + below(12)});
    if (is_picture) write_convolutions();
    write_inner_products();
    return text_;
  }

 private:
  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }

  void add(const std::string& type, const std::string& parameter, bool may_be_in_place = true) {
    const std::string name = type + std::to_string(++layers_);
    const std::string top = may_be_in_place && blob_ != "data" && chance(0.5) ? blob_ : name;
    text_ += "layer { name: '" + name + "' type: '" + type + "' bottom: '" + blob_ + "' top: '" +
             top + "' " + parameter + " }\n";
    blob_ = top;
  }

  void add_bottleneck(double probability) {
    if (chance(probability)) add("InformationBottleneck", "", false);
  }

  void add_channelwise() {
    switch (below(7)) {
      case 0:
        add("BatchNorm", "");
        break;
      case 1:
        add("Scale", chance(0.5) ? "scale_param { bias_term: true }" : "");
        break;
      case 2:
        add("Dropout", "");
        break;
      case 3:
        add("ReLU", "relu_param { negative_slope: 0.1 }");
        break;
      default:
        add("ReLU", "");
    }
  }

  void add_pooling() {
    if (extent_ < 4) return;
    const std::string method = chance(0.5) ? "MAX" : "AVE";
    const std::string window =
        chance(0.7) ? "kernel_size: 2 stride: 2" : "kernel_size: 3 stride: 2";
    add("Pooling", "pooling_param { pool: " + method + " " + window + " }", false);
    extent_ /= 2;
  }

  void add_around() {
    const int layers = below(4);
    for (int i = 0; i < layers; ++i) {
      add_bottleneck(0.3);
      add_channelwise();
    }
    add_bottleneck(0.6);
  }

  void write_convolutions() {
    add_bottleneck(0.3);
    const int convolutions = 1 + below(3);
    for (int i = 0; i < convolutions; ++i) {
      const std::string bias = chance(0.3) ? " bias_term: false" : "";
      add("Convolution",
          "convolution_param { num_output: " + std::to_string(2 * (2 + below(4))) +
              " kernel_size: 3 pad: 1" + bias + " weight_filler { type: 'msra' } }",
          false);
      add_around();
      if (chance(0.6)) add_pooling();
      add_bottleneck(0.2);
      if (chance(0.1))
        add("Convolution", "convolution_param { num_output: 4 kernel_size: 1 group: 2 }", false);
    }
  }

  void write_inner_products() {
    if (chance(0.7)) add("Flatten", "", false);
    add_bottleneck(0.5);
    const int products = 1 + below(3);
    for (int i = 0; i < products; ++i) {
      const std::string transpose = chance(0.2) ? " transpose: true" : "";
      add("InnerProduct",
          "inner_product_param { num_output: " + std::to_string(3 + below(8)) + transpose +
              " weight_filler { type: 'msra' } }",
          false);
      add_around();
      if (chance(0.1)) add("Softmax", "", false);
    }
    add("InnerProduct", "inner_product_param { num_output: 3 weight_filler { type: 'msra' } }",
        false);
    add_bottleneck(0.1);
  }

  std::mt19937 random_;
  std::string text_;
  std::string blob_ = "data";
  int layers_ = 0;
  int extent_ = 0;
};

bool has_type(const NetParameter& net, const std::string& type) {
  for (const LayerParameter& layer : net.layer())
    if (layer.type() == type) return true;
  return false;
}

/// What the chains of this test came to, to show that they reach every case.
struct Reached {
  int cut = 0;
  int selected = 0;
  int shorter_input = 0;
  int kept_as_scale = 0;
  int with_notes = 0;
};

void compress_chain(std::uint32_t seed, Reached* reached) {
  const NetParameter model = net_of(ChainWriter(seed).write());
  if (!has_type(model, "InformationBottleneck")) return;
  const NetParameter weights = random_weights(model, seed, 0.6, seed % 2 == 0 ? 0 : 0.3);
  const CompressedNet compressed = compress_net(model, weights);
  EXPECT_LE(difference_of(model, weights, compressed), kTolerance);
  for (const NetParameter* net : {&compressed.model, &compressed.deploy, &compressed.weights})
    EXPECT_FALSE(has_type(*net, "InformationBottleneck"));
  reached->cut += compressed.weights.ByteSizeLong() < weights.ByteSizeLong() * 3 / 4 ? 1 : 0;
  reached->selected += has_type(compressed.model, "Slice") ? 1 : 0;
  reached->shorter_input += compressed.report.kept_inputs.empty() ? 0 : 1;
  reached->with_notes += compressed.report.notes.empty() ? 0 : 1;
  for (const LayerParameter& layer : compressed.model.layer())
    if (layer.name().rfind("InformationBottleneck", 0) == 0 && layer.type() == "Scale") {
      ++reached->kept_as_scale;
      break;
    }
}

TEST(RandomChains, ComputeTheSameAfterCompression) {
  Reached reached;
  for (int seed = 0; seed < kChains; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed) + ":\n" + ChainWriter(seed).write());
    ASSERT_NO_THROW(compress_chain(seed, &reached));
    if (HasFailure()) return;
  }
  EXPECT_GE(reached.cut, kChains / 2);
  EXPECT_GE(reached.selected, kChains / 20);
  EXPECT_GE(reached.shorter_input, kChains / 40);
  EXPECT_GE(reached.kept_as_scale, kChains / 20);
  EXPECT_GE(reached.with_notes, kChains / 20);
}

}  // namespace
}  // namespace vibnet
