// Sizes that a user asks for: a target in the solver, vibnet-compress --target_..., vibnet-sweep.

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "support/tool_test.h"

namespace vibnet {
namespace {

using google::protobuf::Struct;

const char* const kNet = R"(
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 8 dim: 6 } shape { dim: 8 }
  data_filler { type: "gaussian" } data_filler { value: 1 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1"
  inner_product_param { num_output: 100 weight_filler { type: "xavier" } } }
layer { name: "ib" type: "InformationBottleneck" bottom: "ip1" top: "ib" }
layer { name: "ip2" type: "InnerProduct" bottom: "ib" top: "ip2"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy"
  include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
)";

const char* const kSolver = R"(
net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 20 random_seed: 1
test_iter: 2 test_interval: 20 display: 1 snapshot_prefix: "run" type: "Adam"
)";

Struct parse_json(const std::string& text) {
  Struct json;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(text, &json).ok()) << text;
  return json;
}

double number(const Struct& json, const std::string& of, const std::string& name) {
  return json.fields().at(of).struct_value().fields().at(name).number_value();
}

class TargetTools : public ToolTest {
 protected:
  void SetUp() override {
    write("net.prototxt", kNet);
    write("solver.prototxt", kSolver);
  }

  ToolResult train(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"--solver", "solver.prototxt"});
    return run("vibnet-train", more);
  }

  ToolResult compress(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"--model", "net.prototxt", "--weights", "run_iter_20.caffemodel",
                               "--out_model", "small.prototxt", "--out_weights", "small.caffemodel",
                               "--report", "r.json", "--verify"});
    return run("vibnet-compress", more);
  }

  void expect_target(const std::string& name, double asked, double reached, bool met) const {
    const Struct report = parse_json(read("r.json"));
    const auto& target = report.fields().at("target").struct_value().fields();
    EXPECT_EQ(target.at("name").string_value(), name);
    EXPECT_FLOAT_EQ(target.at("asked").number_value(), asked);
    EXPECT_NEAR(target.at("reached").number_value(), reached, 0.01);
    EXPECT_EQ(target.at("met").bool_value(), met);
  }

  double share_left(const std::string& what) const {
    const Struct report = parse_json(read("r.json"));
    return number(report, "after", what) / number(report, "before", what);
  }

  ToolResult sweep(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"--solver", "solver.prototxt", "--out_dir", "out"});
    return run("vibnet-sweep", more);
  }
};

TEST_F(TargetTools, ATrainedNetIsAsSmallAsItsTarget) {
  const ToolResult trained = train({"--set", "target.flops=0.3"});
  ASSERT_EQ(trained.exit_code, 0) << trained.errors;
  EXPECT_NE(trained.errors.find("target: the units are settled: flops is 0.3"), std::string::npos);
  ASSERT_EQ(compress().exit_code, 0);
  EXPECT_NEAR(share_left("flops") / 0.3, 1, 0.02);
  const std::vector<std::string> log = lines_of(read("log.jsonl"));
  const Struct first = parse_json(log[1]);  // behind the test at the beginning
  EXPECT_EQ(number(first, "cost", "flops"), 1);
  EXPECT_EQ(first.fields().at("kl_weight").number_value(), 1);
}

TEST_F(TargetTools, CompressCutsToATarget) {
  ASSERT_EQ(train().exit_code, 0);
  for (const char* what : {"flops", "weights"}) {
    const ToolResult result = compress({"--target_" + std::string(what), "0.25"});
    ASSERT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_NEAR(share_left(what) / 0.25, 1, 0.02);
    EXPECT_NE(result.output.find("target: " + std::string(what) + " is 0.25"), std::string::npos);
  }
  const ToolResult met = compress({"--target_latency_ms", "1000"});
  EXPECT_EQ(met.exit_code, 0);
  EXPECT_NE(met.errors.find("target: the net costs less already"), std::string::npos);
  EXPECT_EQ(share_left("weights"), 1);
}

TEST_F(TargetTools, CompressWarnsOfATargetThatItMisses) {
  std::string model = kNet;
  model.replace(model.find("num_output: 100"), 15, "num_output: 4");
  write("net.prototxt", model);
  ASSERT_EQ(train().exit_code, 0);
  const ToolResult near = compress({"--target_weights", "0.6"});
  ASSERT_EQ(near.exit_code, 0) << near.errors;
  EXPECT_NE(near.errors.find("target: nothing nearer to it was found"), std::string::npos);
  expect_target("weights", 0.6F, 0.5, false);
  const ToolResult hit = compress({"--target_weights", "0.5"});
  ASSERT_EQ(hit.exit_code, 0) << hit.errors;
  EXPECT_EQ(hit.errors.find("target: "), std::string::npos) << hit.errors;
  expect_target("weights", 0.5, 0.5, true);
}

TEST_F(TargetTools, AMissOfTheSolverIsSaidOnce) {
  std::string model = kNet;
  model.replace(model.find("num_output: 100"), 15, "num_output: 4");
  write("net.prototxt", model);
  const ToolResult result = train({"--set", "target.weights=0.6", "--set", "compact_interval=1",
                                   "--set", "compact_patience=1", "--set", "max_iter=60"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const std::size_t first = result.errors.find("nothing nearer");
  ASSERT_NE(first, std::string::npos) << result.errors;
  EXPECT_EQ(result.errors.find("nothing nearer", first + 1), std::string::npos) << result.errors;
}

TEST_F(TargetTools, ANetThatStatesItsBatchIsLookedAtWithThatBatch) {
  std::string model = kNet;
  model.replace(model.find("bottom: \"ib\" top: \"ip2\""), 25, "bottom: \"rs\" top: \"ip2\" ");
  model.insert(model.find("layer { name: \"ip2\""),
               "layer { name: \"rs\" type: \"Reshape\" bottom: \"ib\" top: \"rs\" "
               "reshape_param { shape { dim: 8 dim: 100 } } }\n");
  write("net.prototxt", model);
  const ToolResult trained = train({"--set", "target.flops=0.3", "--set", "kl_cost=FLOPS"});
  ASSERT_EQ(trained.exit_code, 0) << trained.errors;
  const ToolResult result = compress();
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NEAR(share_left("flops") / 0.3, 1, 0.02);
  EXPECT_NE(result.output.find("note: the deployment net and its costs have the batch"),
            std::string::npos)
      << result.output;
  ASSERT_EQ(compress({"--target_weights", "0.2"}).exit_code, 0);
  EXPECT_NEAR(share_left("weights") / 0.2, 1, 0.02);
}

TEST_F(TargetTools, CompressCutsANetWithHeadsOfTrainingToATarget) {
  std::string model = kNet;
  model += R"(
layer { name: "aux" type: "InnerProduct" bottom: "ib" top: "aux" include { phase: TRAIN }
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "aux_loss" type: "SoftmaxWithLoss" bottom: "aux" bottom: "label" top: "aux_loss"
  include { phase: TRAIN } })";
  write("net.prototxt", model);
  ASSERT_EQ(train().exit_code, 0);
  const ToolResult result = compress({"--target_weights", "0.5"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NEAR(share_left("weights"), 0.5, 0.01);
}

TEST_F(TargetTools, CompressRefusesTargetsThatCannotBe) {
  ASSERT_EQ(train().exit_code, 0);
  expect_error(compress({"--target_flops", "0.001"}), "cannot be reached");
  expect_error(compress({"--target_flops", "1.5"}), "flops", 2);
  expect_error(compress({"--target_flops", "0.5", "--target_weights", "0.5"}), "2 targets", 2);
  expect_error(compress({"--target_flops", "0.5", "--threshold", "0"}), "exclude", 2);
  EXPECT_FALSE(exists("small.caffemodel"));
}

TEST_F(TargetTools, SweepMakesEachNetOnce) {
  const ToolResult result = sweep({"--kl_weights", "0.01,0.1"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  const std::vector<std::string> rows = lines_of(read("out/sweep.csv"));
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[1].rfind("dense,\"error, %\",", 0), 0U) << rows[1];
  EXPECT_NE(rows[1].find(",900,1800,"), std::string::npos) << rows[1];
  EXPECT_EQ(rows[2].rfind("kl_weight_0.01,", 0), 0U) << rows[2];
  for (const char* file :
       {"out/sweep.json", "out/dense/small.prototxt", "out/kl_weight_0.1/net_iter_20.caffemodel"})
    EXPECT_TRUE(exists(file)) << file;
  const std::string picture = read("out/sweep.svg");
  EXPECT_NE(picture.find("dense"), std::string::npos);
  EXPECT_EQ(lines_of(result.output).size(), 4U) << result.output;

  const ToolResult again = sweep({"--kl_weights", "0.1, 0.3"});
  ASSERT_EQ(again.exit_code, 0) << again.errors;
  EXPECT_EQ(again.errors.find("Sweep: dense"), std::string::npos);
  EXPECT_EQ(again.errors.find("Sweep: kl_weight_0.1"), std::string::npos);
  EXPECT_NE(again.errors.find("Sweep: kl_weight_0.3"), std::string::npos);
  EXPECT_TRUE(exists("out/kl_weight_0.3/small.prototxt"));
}

TEST_F(TargetTools, SweepFineTunesAndTakesTargets) {
  write("finetune.prototxt",
        "net: 'is not read' base_lr: 0.01 lr_policy: 'fixed' max_iter: 3 "
        "test_iter: 2 type: 'Adam' random_seed: 1");
  const ToolResult result =
      sweep({"--target_weights", "0.5,0.2", "--nodense", "--finetune_solver", "finetune.prototxt",
             "--set", "max_iter=15", "--set", "compact_interval=2"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_TRUE(exists("out/target_weights_0.5/finetuned_iter_3.caffemodel"));
  const std::vector<std::string> rows = lines_of(read("out/sweep.csv"));
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_NE(rows[1].find(",450,900,"), std::string::npos) << rows[1];
  EXPECT_NE(rows[2].find(",180,360,"), std::string::npos) << rows[2];
}

TEST_F(TargetTools, SweepGoesOnWhereItWasStopped) {
  const auto arguments = std::vector<std::string>{"--kl_weights", "0.1", "--nodense"};
  ASSERT_EQ(sweep(arguments).exit_code, 0);
  const std::string whole = read("out/kl_weight_0.1/small.caffemodel");
  const std::string point = read("out/kl_weight_0.1/point.json");
  std::filesystem::remove_all(folder_ / "out");
  ASSERT_EQ(train({"--set", "kl_weight=0.1", "--set", "snapshot=7"}).exit_code, 0);
  std::filesystem::create_directories(folder_ / "out/kl_weight_0.1");
  for (const char* end : {".caffemodel", ".solverstate"})
    std::filesystem::copy(folder_ / ("run_iter_7" + std::string(end)),
                          folder_ / ("out/kl_weight_0.1/net_iter_7" + std::string(end)));
  const ToolResult resumed = sweep(arguments);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.errors;
  EXPECT_EQ(read("out/kl_weight_0.1/small.caffemodel"), whole);
  EXPECT_EQ(read("out/kl_weight_0.1/point.json"), point);
}

TEST_F(TargetTools, SweepRefusesWhatCannotBe) {
  expect_error(sweep(), "give one of --kl_weights", 2);
  expect_error(sweep({"--kl_weights", "0.1,x"}), "is no list of numbers", 2);
  expect_error(sweep({"--kl_weights", "0.1,0"}), "--kl_weights 0.1,0 is no list of numbers", 2);
  expect_error(sweep({"--kl_weights", "1e39"}), "is no list of numbers", 2);
  expect_error(sweep({"--kl_weights", "1, 1.0"}), "names 1.0 twice", 2);
  expect_error(sweep({"--target_flops", "0.5,2"}), "--target_flops 0.5,2 is no list of shares", 2);
  expect_error(run("vibnet-sweep", {"--solver", "nosuch", "--out_dir", "out", "--kl_weights", "1"}),
               "nosuch: cannot be read");
  EXPECT_FALSE(exists("out"));
  expect_error(sweep({"--kl_weights", "1", "--target_flops", "0.5"}), "give one of", 2);
  ASSERT_EQ(sweep({"--kl_weights", "0.1", "--nodense"}).exit_code, 0);
  expect_error(sweep({"--kl_weights", "0.1", "--nodense", "--set", "max_iter=9"}),
               "was made with other settings");
}

TEST_F(TargetTools, SweepChecksSettingsBeforeItTrains) {
  write("finetune.prototxt", "base_lr: 0.01 lr_policy: 'fixed' max_iter: 3 compact_interval: 1");
  const auto refused = [&](const char* set, const char* what) {
    expect_error(sweep({"--target_flops", "0.5", "--set", set}), what);
  };
  refused("max_iter=1", "solver.prototxt: target: needs a max_iter of 2 or more");
  refused("kl_weight=0", "solver.prototxt: target: needs a kl_weight above 0");
  refused("target.weights=0.5", "solver.prototxt: target: 2 targets are set");
  refused("base_lr=nan", "solver.prototxt: base_lr");
  expect_error(sweep({"--kl_weights", "1", "--finetune_solver", "finetune.prototxt"}),
               "finetune.prototxt: compact_interval: the net has no gate");
  expect_error(sweep({"--kl_weights", "1", "--finetune_solver", "nosuch"}), "nosuch: cannot");
  expect_error(sweep({"--kl_weights", "1", "--device", "tpu"}), "tpu", 2);
  std::string gateless = kNet;
  gateless.replace(gateless.find("InformationBottleneck"), 21, "ReLU");
  write("gateless.prototxt", gateless);
  expect_error(sweep({"--kl_weights", "1", "--set", "net=gateless.prototxt"}),
               "solver.prototxt: the net has no gate to press");
  EXPECT_FALSE(exists("out"));
}

TEST_F(TargetTools, SweepRefusesAnotherNetInItsFolder) {
  ASSERT_EQ(sweep({"--kl_weights", "0.1", "--nodense"}).exit_code, 0);
  write("net.prototxt", "# the same net\n" + std::string(kNet));
  EXPECT_EQ(sweep({"--kl_weights", "0.1", "--nodense"}).exit_code, 0);
  std::string other = kNet;
  other.replace(other.find("100"), 3, "101");
  write("net.prototxt", other);
  expect_error(sweep({"--kl_weights", "0.3,0.1", "--nodense"}),
               "out/kl_weight_0.1: was not made with the net that solver.prototxt names now");
  EXPECT_FALSE(exists("out/kl_weight_0.3"));
}

TEST_F(TargetTools, SweepNamesADamagedPoint) {
  const std::vector<std::string> arguments = {"--kl_weights", "0.1", "--nodense"};
  ASSERT_EQ(sweep(arguments).exit_code, 0);
  const std::string path = "out/kl_weight_0.1/point.json";
  std::string point = read(path);
  for (const char* damaged : {"{\"measure\": \"x\"}", "", "[]", "{\"name\": 3}"}) {
    write(path, damaged);
    expect_error(sweep(arguments), path + ": is no point of a sweep");
  }
  point.replace(point.find("0.1"), 3, "0.2");
  write(path, point);
  expect_error(sweep(arguments), path + ": is the point of 'kl_weight_0.2'");
}

TEST_F(TargetTools, SweepListsANetThatLosesAllItsUnitsAsFailed) {
  const std::vector<std::string> strong = {"--set",     "max_iter=300", "--set",   "base_lr=0.2",
                                           "--nodense", "--kl_weights", "1e6,1e-6"};
  for (int run = 0; run < 2; ++run) {  // the second looks up what the first made
    const ToolResult result = sweep(strong);
    expect_error(
        result,
        "out: 1 of 2 nets failed, without a dot in sweep.svg: kl_weight_1e6 (layer 'ib' would ");
    EXPECT_EQ(result.errors.find("Sweep: ") == std::string::npos, run == 1);
    const std::vector<std::string> rows = lines_of(read("out/sweep.csv"));
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[1].rfind("kl_weight_1e6,,,,,,,,\"", 0), 0U) << rows[1];
    const auto columns = std::count(rows[0].begin(), rows[0].end(), ',');
    EXPECT_EQ(std::count(rows[1].begin(), rows[1].begin() + 22, ','), columns);
    EXPECT_NE(lines_of(result.output)[1].find("failed"), std::string::npos) << result.output;
  }
  const Struct failed = parse_json("{\"points\": " + read("out/sweep.json") + "}");
  const auto& points = failed.fields().at("points").list_value().values();
  ASSERT_EQ(points.size(), 2);
  const auto& fields = points[0].struct_value().fields();
  EXPECT_NE(fields.at("failure").string_value().find("would lose every unit"), std::string::npos);
  EXPECT_TRUE(fields.at("error").has_null_value());
  EXPECT_EQ(points[1].struct_value().fields().at("failure").string_value(), "");
}

TEST_F(TargetTools, SweepGoesOnBehindATargetThatCannotBeReached) {
  expect_error(sweep({"--target_flops", "0.0001,0.5", "--nodense"}),
               "target_flops_0.0001 (solver.prototxt: target: flops: 0.0001 cannot be reached");
  const std::vector<std::string> rows = lines_of(read("out/sweep.csv"));
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_NE(rows[1].find("cannot be reached"), std::string::npos) << rows[1];
  EXPECT_NE(rows[2].find(",450,900,"), std::string::npos) << rows[2];
  EXPECT_TRUE(exists("out/sweep.svg"));
  expect_error(sweep({"--target_flops", "0.0001", "--nodense"}), "out: 1 of 1 nets failed");
  EXPECT_FALSE(exists("out/sweep.svg"));
}

}  // namespace
}  // namespace vibnet
