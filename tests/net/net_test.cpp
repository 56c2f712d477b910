#include "vibnet/net.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "support/error_of.h"
#include "support/layer_fixture.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

NetParameter parse(const std::string& text) {
  NetParameter net;
  parse_prototxt(text, "test", &net);
  return net;
}

std::string input(const std::string& name, const std::string& dims) {
  return "layer { name: '" + name + "' type: 'Input' top: '" + name + "' input_param { shape { " +
         dims + " } } }\n";
}

std::string inner_product(const std::string& name, const std::string& bottom, int outputs,
                          const std::string& more = "") {
  return "layer { name: '" + name + "' type: 'InnerProduct' bottom: '" + bottom + "' top: '" +
         name + "' inner_product_param { num_output: " + std::to_string(outputs) +
         " weight_filler { type: 'xavier' } } " + more + " }\n";
}

std::vector<std::string> layer_names(const Net& net) {
  std::vector<std::string> names;
  for (const auto& layer : net.layers()) names.push_back(layer->name());
  return names;
}

NetOptions phase(Phase phase, int level = 0, std::vector<std::string> stages = {}) {
  NetOptions options;
  options.phase = phase;
  options.level = level;
  options.stages = std::move(stages);
  return options;
}

TEST(Net, KeepsTheLayersOfItsState) {
  const NetParameter net = parse(
      input("x", "dim: 1 dim: 2") +
      "layer { name: 'train' type: 'Silence' bottom: 'x' include { phase: TRAIN } }"
      "layer { name: 'deep' type: 'Silence' bottom: 'x' include { min_level: 2 max_level: 4 } }"
      "layer { name: 'staged' type: 'Silence' bottom: 'x' include { stage: 'a' not_stage: 'b' } }"
      "layer { name: 'not_test' type: 'Silence' bottom: 'x' exclude { phase: TEST } }");
  const auto has = [&](const NetOptions& options, const std::string& name) {
    const std::vector<std::string> names = layer_names(Net(net, options));
    return std::count(names.begin(), names.end(), name) > 0;
  };
  EXPECT_TRUE(has(phase(TRAIN), "train"));
  EXPECT_FALSE(has(phase(TEST), "train"));
  EXPECT_TRUE(has(phase(TRAIN), "not_test"));
  EXPECT_FALSE(has(phase(TEST), "not_test"));
  EXPECT_FALSE(has(phase(TEST, 1), "deep"));
  EXPECT_TRUE(has(phase(TEST, 4), "deep"));
  EXPECT_FALSE(has(phase(TEST, 5), "deep"));
  EXPECT_TRUE(has(phase(TEST, 0, {"a"}), "staged"));
  EXPECT_FALSE(has(phase(TEST, 0, {"a", "b"}), "staged"));
}

TEST(Net, SplitsABlobThatSeveralRead) {
  Net net(parse("force_backward: true " + input("x", "dim: 2 dim: 3") + inner_product("a", "x", 2) +
                inner_product("b", "x", 2)),
          phase(TRAIN));
  EXPECT_EQ(layer_names(net), (std::vector<std::string>{"x", "x_x_0_split", "a", "b"}));
  fill_gaussian(1, net.blob("x"));
  net.forward();
  net.blob("a")->set_diff(1);
  net.blob("b")->set_diff(0);
  net.backward();
  const std::vector<float> of_a(net.blob("x")->cpu_diff(), net.blob("x")->cpu_diff() + 6);
  net.blob("b")->set_diff(1);
  net.backward();
  const float* weights = net.layer("b")->blobs()[0]->cpu_data();
  EXPECT_NEAR(net.blob("x")->cpu_diff()[0], of_a[0] + weights[0] + weights[3], 1e-5);
}

TEST(Net, WeighsLosses) {
  Net net(parse(input("x", "dim: 2 dim: 3") + input("t", "dim: 2 dim: 3") +
                "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'x' bottom: 't' top: 'loss' "
                "loss_weight: 3 }"),
          phase(TRAIN));
  net.blob("x")->set_data(2);
  EXPECT_NEAR(net.forward(), 3 * 6, 1e-5);
}

TEST(Net, SharesParametersByName) {
  const std::string shared = "param { name: 'w' } param { name: 'b' }";
  Net net(parse(input("x", "dim: 2 dim: 3") + input("t", "dim: 2 dim: 3") +
                inner_product("a", "x", 3, shared) + inner_product("b", "a", 3, shared) +
                "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'b' bottom: 't' top: 'loss' }"),
          phase(TRAIN));
  EXPECT_EQ(net.parameters().size(), 2u);
  EXPECT_EQ(net.layer("a")->blobs()[0]->cpu_data(), net.layer("b")->blobs()[0]->cpu_data());
  fill_gaussian(1, net.blob("x"));
  net.clear_gradients();
  net.forward();
  net.backward();
  Blob& weights = *net.layer("a")->blobs()[0];
  for (int i = 0; i < weights.count(); ++i) {
    const float value = weights.cpu_data()[i];
    const auto loss_at = [&](float shifted) {
      weights.mutable_cpu_data()[i] = shifted;
      return double{net.forward()};
    };
    const double slope = (loss_at(value + 1e-2f) - loss_at(value - 1e-2f)) / 2e-2;
    weights.mutable_cpu_data()[i] = value;
    EXPECT_NEAR(weights.cpu_diff()[i], slope, 2e-2) << i;
  }
}

TEST(Net, RefusesSharingThatDoesNotFit) {
  const std::string net =
      input("x", "dim: 2 dim: 3") + inner_product("a", "x", 3, "param { name: 'w' }");
  EXPECT_NE(error_of([&] {
              Net(parse(net + inner_product("b", "a", 4, "param { name: 'w' }")), phase(TRAIN));
            }).find("cannot share 'w'"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              Net(parse(input("x", "dim: 2 dim: 3") +
                        inner_product("a", "x", 3, "param { name: 'w' lr_mult: 1 }") +
                        inner_product("b", "a", 3, "param { name: 'w' lr_mult: 2 }")),
                  phase(TRAIN));
            }).find("another lr_mult"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              Net(parse(input("x", "dim: 2 dim: 3") +
                        inner_product("a", "x", 3, "param { name: 'w' l1_decay: 1 }") +
                        inner_product("b", "a", 3, "param { name: 'w' l1_decay: 2 }")),
                  phase(TRAIN));
            }).find("another l1_decay"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              Net(parse(input("x", "dim: 2 dim: 3") +
                        inner_product("a", "x", 3, "param { l1_decay: -1 }")),
                  phase(TRAIN));
            }).find("layer 'a' (InnerProduct): l1_decay: -1 cannot be negative"),
            std::string::npos);
}

TEST(Net, RunsBackwardOnlyWhereItLeadsSomewhere) {
  const std::string text =
      input("x", "dim: 2 dim: 3") + input("t", "dim: 2 dim: 2") +
      inner_product("frozen", "x", 3, "param { lr_mult: 0 } param { lr_mult: 0 }") +
      inner_product("learned", "frozen", 2) + inner_product("aside", "frozen", 2) +
      "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'learned' bottom: 't' top: 'loss' }";
  const auto needs = [](const Net& net, const std::string& name) {
    for (std::size_t i = 0; i < net.layers().size(); ++i)
      if (net.layers()[i]->name() == name) return net.needs_backward(static_cast<int>(i));
    return false;
  };
  const Net net(parse(text), phase(TRAIN));
  EXPECT_FALSE(needs(net, "frozen"));
  EXPECT_TRUE(needs(net, "learned"));
  EXPECT_FALSE(needs(net, "aside"));
  const Net forced(parse("force_backward: true " + text), phase(TRAIN));
  EXPECT_TRUE(needs(forced, "frozen"));
}

TEST(Net, CopiesWeightsByLayerName) {
  const std::string text =
      input("x", "dim: 2 dim: 3") + inner_product("a", "x", 3) + inner_product("b", "a", 2);
  Net from(parse(text), phase(TEST));
  fill_gaussian(1, from.layer("b")->blobs()[0].get());
  Net to(parse(text), phase(TEST));
  to.copy_weights(from.to_proto(), "file", Missing::FAIL);
  EXPECT_EQ(to.to_proto().SerializeAsString(), from.to_proto().SerializeAsString());

  Net more(parse(text + inner_product("c", "b", 2)), phase(TEST));
  EXPECT_NE(error_of([&] {
              more.copy_weights(from.to_proto(), "file", Missing::FAIL);
            }).find("file: holds no weights for layer 'c'"),
            std::string::npos);
  more.copy_weights(from.to_proto(), "file", Missing::KEEP);

  Net wider(
      parse(input("x", "dim: 2 dim: 3") + inner_product("a", "x", 3) + inner_product("b", "a", 4)),
      phase(TEST));
  const std::string before = wider.to_proto().SerializeAsString();
  EXPECT_NE(error_of([&] {
              wider.copy_weights(from.to_proto(), "file", Missing::FAIL);
            }).find("layer 'b' blob 0 is 2x3 (6), and 4x3 (12) is needed"),
            std::string::npos);
  EXPECT_EQ(wider.to_proto().SerializeAsString(), before);
}

TEST(Net, NamesWhatIsWrong) {
  const std::string x = input("x", "dim: 2 dim: 3");
  const auto error = [&](const std::string& layers) {
    return error_of([&] { Net(parse(x + layers), phase(TEST)); });
  };
  EXPECT_NE(error("layer { name: 'r' type: 'ReLU' bottom: 'y' top: 'z' }")
                .find("bottom 'y' is made by no layer"),
            std::string::npos);
  EXPECT_NE(error("layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'z' }"
                  "layer { name: 's' type: 'ReLU' bottom: 'x' top: 'z' }")
                .find("top 'z' is made by another layer"),
            std::string::npos);
  EXPECT_NE(error("layer { name: 'r' type: 'ReLU' bottom: 'x' bottom: 'x' top: 'z' }")
                .find("needs 1 bottom(s), and 2 given"),
            std::string::npos);
  EXPECT_NE(error("layer { name: 'r' type: 'Relu' bottom: 'x' top: 'z' }").find("ReLU"),
            std::string::npos);
  EXPECT_NE(error("layer { name: 'c' type: 'Convolution' bottom: 'x' top: 'z' "
                  "convolution_param { num_output: 3 group: 2 } }")
                .find("layer 'c' (Convolution)"),
            std::string::npos);
  EXPECT_NE(error("layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'z' include { phase: TEST } "
                  "exclude { phase: TRAIN } }")
                .find("include and exclude"),
            std::string::npos);
  const std::string weights =
      "layer { name: 'i' type: 'InnerProduct' bottom: 'x' top: '%' "
      "inner_product_param { num_output: 1 } }";
  EXPECT_NE(error(weights + weights.substr(0, weights.find('%')) + "w" +
                  weights.substr(weights.find('%') + 1))
                .find("has the name of another layer with weights"),
            std::string::npos);
  EXPECT_NE(error("layer { name: 'e' type: 'ELU' bottom: 'x' top: 'z' elu_param { alpha: nan } }")
                .find("layer 'e' (ELU): elu_param.alpha is nan"),
            std::string::npos);
}

}  // namespace
}  // namespace vibnet
