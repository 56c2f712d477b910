// vibnet-compress as a user runs it, on a net that vibnet-train trained.

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>

#include "support/models.h"
#include "support/tool_test.h"
#include "support/trained_net.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

using google::protobuf::Struct;

const char* const kModel = R"(
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 8 dim: 2 dim: 6 dim: 6 } shape { dim: 8 }
  data_filler { type: "gaussian" } data_filler { value: 1 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ib1" type: "InformationBottleneck" bottom: "conv" top: "ib1" }
layer { name: "ip" type: "InnerProduct" bottom: "ib1" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "ib2" type: "InformationBottleneck" bottom: "ip" top: "ib2" }
layer { name: "score" type: "InnerProduct" bottom: "ib2" top: "score"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "score" bottom: "label" top: "accuracy"
  include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
)";

const char* const kSolver = R"(net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 3
random_seed: 1 snapshot_prefix: "net")";

Struct parse_json(const std::string& text) {
  Struct json;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(text, &json).ok()) << text;
  return json;
}

double number(const Struct& json, const std::string& name) {
  const auto field = json.fields().find(name);
  if (field == json.fields().end()) ADD_FAILURE() << name << " is missing";
  return field == json.fields().end() ? -1 : field->second.number_value();
}

const Struct& part(const Struct& json, const std::string& name) {
  return json.fields().at(name).struct_value();
}

class CompressTool : public ToolTest {
 protected:
  /// Trains a little, then masks: ib1 keeps 2 of 4 units, ib2 keeps 3 of 5.
  void SetUp() override {
    write("net.prototxt", kModel);
    write("solver.prototxt", kSolver);
    ASSERT_EQ(run("vibnet-train", {"--solver", "solver.prototxt"}).exit_code, 0);
    NetParameter weights = read_caffemodel(folder_ / "net_iter_3.caffemodel");
    set_bottleneck("ib1", {0.5f, 2, 1, 1}, {true, false, true, false}, &weights);
    set_bottleneck("ib2", {1, -2, 3, 1, 1}, {true, true, true, false, false}, &weights);
    write_binary(weights, folder_ / "net.caffemodel");
  }

  ToolResult compress(std::vector<std::string> more = {}) {
    more.insert(more.begin(),
                {"--model", "net.prototxt", "--weights", "net.caffemodel", "--out_model",
                 "small.prototxt", "--out_weights", "small.caffemodel"});
    return run("vibnet-compress", more);
  }

  void expect_nothing_written() const {
    for (const char* file :
         {"small.prototxt", "small.deploy.prototxt", "small.caffemodel", "r.json"})
      EXPECT_FALSE(exists(file)) << file;
  }
};

const char* const kWords = R"(
layer { name: "words" type: "Input" top: "words" input_param { shape { dim: 4 dim: 2 } } }
layer { name: "cont" type: "Input" top: "cont" input_param { shape { dim: 4 dim: 2 } } }
layer { name: "embed" type: "Embed" bottom: "words" top: "embed"
  embed_param { num_output: 8 input_dim: 5 weight_filler { type: "gaussian" } } }
layer { name: "again" type: "Embed" bottom: "words" top: "again"
  embed_param { num_output: 8 input_dim: 5 weight_filler { type: "gaussian" } } }
layer { name: "sum" type: "Eltwise" bottom: "embed" bottom: "again" top: "sum" }
layer { name: "lstm" type: "LSTM" bottom: "sum" bottom: "cont" top: "lstm"
  recurrent_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "flat" type: "Reshape" bottom: "lstm" top: "flat"
  reshape_param { shape { dim: 8 dim: -1 } } }
layer { name: "ib1" type: "InformationBottleneck" bottom: "flat" top: "ib1" }
layer { name: "score" type: "InnerProduct" bottom: "ib1" top: "score"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
)";

TEST_F(CompressTool, VerifiesNetsThatReadIntegers) {
  write("net.prototxt", kWords);
  NetParameter weights = Net(net_of(kWords), NetOptions()).to_proto();
  set_bottleneck("ib1", {1, 1, 1, 1, 1, 1, 1}, {true, true, true, false, true, false, true},
                 &weights);
  write_binary(weights, folder_ / "net.caffemodel");
  const ToolResult result = compress();
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("verified"), std::string::npos) << result.output;
  EXPECT_EQ(run("vibnet-time", {"--model", "net.prototxt", "--iterations", "2"}).exit_code, 0);
}

TEST_F(CompressTool, SaysThatTheNetItselfMakesNoNumbers) {
  NetParameter weights = read_caffemodel(folder_ / "net.caffemodel");
  for (LayerParameter& layer : *weights.mutable_layer())
    for (BlobProto& blob : *layer.mutable_blobs())
      if (layer.type() == "InnerProduct")
        for (float& value : *blob.mutable_data()) value = 1e38F;
  write_binary(weights, folder_ / "net.caffemodel");
  expect_error(compress(),
               "net.caffemodel: the net's scores are not finite before anything is cut");
  expect_nothing_written();
}

TEST_F(CompressTool, NamesTheWeightsThatDoNotFitWithACriterion) {
  NetParameter plain = without_bottlenecks(read_net_prototxt(folder_ / "net.prototxt"));
  for (LayerParameter& layer : *plain.mutable_layer())
    if (layer.name() == "conv") layer.mutable_convolution_param()->set_num_output(6);
  write("net.prototxt", to_prototxt(plain));
  expect_error(compress({"--criterion", "l1", "--threshold", "0.5"}), "net.caffemodel: ");
}

TEST_F(CompressTool, ReportsWhatItSavesAndTheDifference) {
  const ToolResult result = compress({"--report", "r.json", "--verify"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const Struct report = parse_json(read("r.json"));
  const Struct& before = part(report, "before");
  const Struct& after = part(report, "after");
  EXPECT_EQ(number(before, "weights"), 4 * 2 * 9 + 5 * 4 * 16 + 3 * 5);
  EXPECT_EQ(number(after, "weights"), 2 * 2 * 9 + 3 * 2 * 16 + 3 * 3);
  EXPECT_EQ(number(after, "parameters"), number(after, "weights") + 2 + 3 + 3);
  EXPECT_EQ(number(after, "flops"), 2 * (16 * 2 * 2 * 9 + 3 * 2 * 16 + 3 * 3));
  EXPECT_LT(number(after, "activation_bytes"), number(before, "activation_bytes"));
  EXPECT_EQ(number(before, "caffemodel_bytes"), read("net.caffemodel").size());
  EXPECT_EQ(number(after, "caffemodel_bytes"), read("small.caffemodel").size());
  EXPECT_LT(number(report, "max_rel_difference"), 1e-4);
  EXPECT_GE(number(report, "max_abs_difference"), 0);

  const auto& layers = report.fields().at("layers").list_value();
  bool has_ib1 = false;
  for (const auto& layer : layers.values()) {
    const Struct& fields = layer.struct_value();
    if (fields.fields().at("name").string_value() != "ib1") continue;
    has_ib1 = true;
    EXPECT_EQ(fields.fields().at("type").string_value(), "InformationBottleneck");
    EXPECT_EQ(number(fields, "units_before"), 4);
    EXPECT_EQ(number(fields, "units_after"), 2);
  }
  EXPECT_TRUE(has_ib1);
}

TEST_F(CompressTool, TheSmallNetScoresTheSameAndLearnsOn) {
  ASSERT_EQ(compress().exit_code, 0);
  const auto test = [&](const std::string& model, const std::string& weights) {
    return run("vibnet-test", {"--model", model, "--weights", weights, "--iterations", "5"});
  };
  const ToolResult masked = test("net.prototxt", "net.caffemodel");
  EXPECT_EQ(masked.exit_code, 0) << masked.errors;
  EXPECT_EQ(masked.output, test("small.prototxt", "small.caffemodel").output);
  const ToolResult tuned = run("vibnet-train", {"--solver", "solver.prototxt", "--weights",
                                                "small.caffemodel", "--set", "net=small.prototxt"});
  EXPECT_EQ(tuned.exit_code, 0) << tuned.errors;
  EXPECT_EQ(read("small.deploy.prototxt").find("InformationBottleneck"), std::string::npos);
  EXPECT_EQ(run("vibnet-time", {"--model", "small.deploy.prototxt", "--iterations", "1"}).exit_code,
            0);
}

TEST_F(CompressTool, ThresholdCutsMore) {
  // log(sigma^2 / mu^2) of a kept unit is below 0; nothing is below -1000.
  expect_error(compress({"--threshold", "-1000"}), "layer 'ib1'");
  expect_nothing_written();
  ASSERT_EQ(compress({"--threshold", "1000", "--report", "r.json"}).exit_code, 0);
  const Struct report = parse_json(read("r.json"));
  EXPECT_EQ(number(part(report, "after"), "weights"), number(part(report, "before"), "weights"));
}

TEST_F(CompressTool, ThresholdCutsHardConcreteGatesToo) {
  std::string model = kModel;
  const std::string bottleneck = "\"InformationBottleneck\"";
  for (int i = 0; i < 2; ++i)
    model.replace(model.find(bottleneck), bottleneck.size(), "\"HardConcrete\"");
  write("net.prototxt", model);
  ASSERT_EQ(run("vibnet-train", {"--solver", "solver.prototxt"}).exit_code, 0);
  NetParameter weights = read_caffemodel(folder_ / "net_iter_3.caffemodel");
  const float log_alpha[] = {3, -1, 0, -3, 1};  // scores: -5.4, -1.4, -2.4, 0.6, -3.4
  for (LayerParameter& layer : *weights.mutable_layer())
    for (int c = 0; layer.type() == "HardConcrete" && c < layer.blobs(0).data_size(); ++c)
      layer.mutable_blobs(0)->set_data(c, log_alpha[c]);
  write_binary(weights, folder_ / "net.caffemodel");
  for (const auto& [threshold, units] :
       {std::pair("0", "3-4"), std::pair("-2", "2-3"), std::pair("-3", "1-2")}) {
    const ToolResult result = compress({"--threshold", threshold});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_NE(result.output.find(std::string("units of the gates: 4-5 -> ") + units),
              std::string::npos)
        << result.output;
  }
}

TEST_F(CompressTool, CutsANetWithoutGatesByACriterion) {
  expect_error(compress({"--criterion", "l1", "--threshold", "0.5"}),
               "layer 'ib1' (InformationBottleneck) says already");
  expect_nothing_written();
  NetParameter plain = without_bottlenecks(read_net_prototxt(folder_ / "net.prototxt"));
  write("net.prototxt", to_prototxt(plain));
  expect_error(compress(), "nothing says what can be cut");
  expect_error(compress({"--criterion", "batch_norm", "--threshold", "-0.1"}),
               "the Scale behind a BatchNorm");
  expect_error(compress({"--criterion", "l2"}), "--criterion: criterion 'l2' is not known", 2);
  const ToolResult result =
      compress({"--criterion", "l1", "--threshold", "0.5", "--report", "r.json"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("units of the gates: 4-5 -> 2-3"), std::string::npos)
      << result.output;
  EXPECT_EQ(number(part(parse_json(read("r.json")), "after"), "weights"),
            2 * 2 * 9 + 3 * 2 * 16 + 3 * 3);
  EXPECT_EQ(read("small.prototxt").find("InformationBottleneck"), std::string::npos);
}

TEST_F(CompressTool, WrongFlags) {
  expect_error(run("vibnet-compress", {}), "--model is missing", 2);
  expect_error(compress({"--threshold", "low"}), "--threshold 'low' is no number", 2);
  expect_error(compress({"--threshold="}), "--threshold '' is no number", 2);
  expect_error(compress({"more"}), "knows no argument 'more'", 2);
  expect_error(compress({"--criterion", "l1"}), "needs a --threshold", 2);
  expect_error(compress({"--criterion", "l1", "--threshold", "7"}), "the share of each layer", 2);
  expect_error(compress({"--report", "small.prototxt"}), "small.prototxt would be written twice",
               2);
  expect_nothing_written();
}

TEST_F(CompressTool, NeverWritesOverWhatItRead) {
  const std::string weights = read("net.caffemodel");
  const auto into = [&](const std::string& model, const std::string& file) {
    return run("vibnet-compress", {"--model", "net.prototxt", "--weights", "net.caffemodel",
                                   "--out_model", model, "--out_weights", file});
  };
  expect_error(into("net.prototxt", "small.caffemodel"), "net.prototxt is read", 2);
  expect_error(into("small.prototxt", "./net.caffemodel"), "./net.caffemodel is read", 2);
  std::filesystem::create_symlink("small.prototxt", folder_ / "link");
  expect_error(into("small.prototxt", "link"), "would be written twice", 2);
  EXPECT_EQ(read("net.prototxt"), kModel);
  EXPECT_EQ(read("net.caffemodel"), weights);
  expect_nothing_written();
}

TEST_F(CompressTool, BadFiles) {
  const std::string weights = read("net.caffemodel");
  for (const std::string& bytes :
       {std::string(), std::string("\xff\xfe\x01 noise"), weights.substr(0, weights.size() / 2)}) {
    write("net.caffemodel", bytes);
    expect_error(compress({"--report", "r.json"}), "net.caffemodel: ");
  }
  write("net.caffemodel", weights);
  for (const char* model : {"", "layer { name: \"x\"", "layer { nam: \"x\" }", "name: \"none\""}) {
    write("net.prototxt", model);
    expect_error(compress(), "net.prototxt:");
  }
  std::string wider = kModel;
  wider.replace(wider.find("num_output: 5"), 13, "num_output: 6");
  write("net.prototxt", wider);
  expect_error(compress(), "layer 'ip' blob 0 is 5x64 (320), and 6x64 (384) is needed");
  expect_nothing_written();
}

TEST_F(CompressTool, CompressesABranch) {
  std::string branch = kModel;
  branch.insert(
      branch.find("layer { name: \"ip\""),
      "layer { name: \"sum\" type: \"Eltwise\" bottom: \"ib1\" bottom: \"ib1\" top: \"s\" }");
  write("net.prototxt", branch);
  const ToolResult result = compress();
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("verified: "), std::string::npos) << "without being asked";
}

TEST_F(CompressTool, ALayerThatWouldLoseEveryUnitIsNamed) {
  NetParameter weights = read_caffemodel(folder_ / "net.caffemodel");
  set_bottleneck("ib2", {1, 1, 1, 1, 1}, {false, false, false, false, false}, &weights);
  write_binary(weights, folder_ / "net.caffemodel");
  const ToolResult result = compress();
  expect_error(result, "layer 'ib2'");
  EXPECT_NE(result.errors.find("gamma"), std::string::npos) << "says what to change";
  expect_nothing_written();
}

}  // namespace
}  // namespace vibnet
