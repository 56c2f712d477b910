#include "solver/compaction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "layers/gate_layer.h"
#include "solver/compressed_cost.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"
#include "vibnet/compress.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

namespace vibnet {
namespace {

/// A residual block, a grouped convolution, and gates of both kinds; many units are dead from the
/// beginning, and others die soon.
const char* const kNet = R"(
  layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param {
    shape { dim: 8 dim: 2 dim: 8 dim: 8 } data_filler { type: 'gaussian' } } }
  layer { name: 'label' type: 'DummyData' top: 'label' dummy_data_param {
    shape { dim: 8 } data_filler { value: 2 } } }
  layer { name: 'conv1' type: 'Convolution' bottom: 'data' top: 'conv1' convolution_param {
    num_output: 12 kernel_size: 3 pad: 1 weight_filler { type: 'msra' } } }
  layer { name: 'relu1' type: 'ReLU' bottom: 'conv1' top: 'conv1' }
  layer { name: 'ib1' type: 'InformationBottleneck' bottom: 'conv1' top: 'ib1'
    information_bottleneck_param { gamma: 0.001
      log_sigma2_filler { type: 'uniform' min: -9 max: 7 } } }
  layer { name: 'conv2' type: 'Convolution' bottom: 'ib1' top: 'conv2' convolution_param {
    num_output: 12 kernel_size: 3 pad: 1 group: 2 weight_filler { type: 'msra' } } }
  layer { name: 'bn2' type: 'BatchNorm' bottom: 'conv2' top: 'conv2' }
  layer { name: 'scale2' type: 'Scale' bottom: 'conv2' top: 'conv2'
    scale_param { bias_term: true } }
  layer { name: 'ib2' type: 'InformationBottleneck' bottom: 'conv2' top: 'ib2'
    information_bottleneck_param { gamma: 0.001
      log_sigma2_filler { type: 'uniform' min: -9 max: 7 } } }
  layer { name: 'sum' type: 'Eltwise' bottom: 'ib1' bottom: 'ib2' top: 'sum' }
  layer { name: 'relu2' type: 'ReLU' bottom: 'sum' top: 'sum' }
  layer { name: 'pool' type: 'Pooling' bottom: 'sum' top: 'pool'
    pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
  layer { name: 'ip1' type: 'InnerProduct' bottom: 'pool' top: 'ip1' inner_product_param {
    num_output: 20 weight_filler { type: 'xavier' } } }
  layer { name: 'l0' type: 'HardConcrete' bottom: 'ip1' top: 'l0' hard_concrete_param {
    gamma: 0.001 log_alpha_filler { type: 'uniform' min: -9 max: 5 } } }
  layer { name: 'ip2' type: 'InnerProduct' bottom: 'l0' top: 'ip2' inner_product_param {
    num_output: 5 weight_filler { type: 'xavier' } } }
  layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip2' bottom: 'label' top: 'loss' }
)";

SolverParameter solver_parameter(const std::string& fields) {
  SolverParameter parameter;
  parse_prototxt(
      "base_lr: 0.02 lr_policy: 'fixed' max_iter: 40 random_seed: 3 display: 1 " + fields, "solver",
      &parameter);
  parse_prototxt(kNet, "net", parameter.mutable_net_param());
  return parameter;
}

class Losses : public SolverObserver {
 public:
  void on_step(const TrainingStep& step) override { values.push_back(step.loss); }
  std::vector<double> values;
};

std::vector<double> step(int iterations, Solver* solver) {
  Losses losses;
  solver->set_observer(&losses);
  solver->step(iterations);
  solver->set_observer(nullptr);
  return losses.values;
}

int count_units(const Net& net) {
  int units = 0;
  for (const GateLayer* gate : net.gates()) units += gate->units();
  return units;
}

int count_parameters(const Net& net) {
  int values = 0;
  for (const Net::Parameter& parameter : net.parameters()) values += parameter.blob->count();
  return values;
}

/// Of units, those that whoever reads the weights keeps.
int count_kept(const Net& net) {
  int units = 0;
  for (const std::vector<bool>& kept : kept_units(net.to_proto()))
    units += static_cast<int>(std::count(kept.begin(), kept.end(), true));
  return units;
}

class Compaction : public testing::TestWithParam<const char*> {};

TEST_P(Compaction, GoesOnAsTheNetWithThoseUnitsFrozen) {
  constexpr int kInterval = 5;
  SolverParameter parameter = solver_parameter(GetParam());
  parameter.set_compact_patience(1);
  parameter.set_freeze_interval(kInterval);
  Solver whole(parameter, "solver", Device());
  parameter.clear_freeze_interval();
  parameter.set_compact_interval(kInterval);
  Solver compacted(parameter, "solver", Device());
  const int units = count_units(whole.net());
  const int values = count_parameters(whole.net());
  for (int i = 0; i < 6; ++i) {
    const std::vector<double> expected = step(kInterval, &whole);
    const std::vector<double> found = step(kInterval, &compacted);
    ASSERT_EQ(expected.size(), found.size());
    for (std::size_t l = 0; l < found.size(); ++l)
      EXPECT_NEAR(found[l], expected[l], 1e-4 * std::fabs(expected[l])) << "iteration " << l;
  }
  EXPECT_EQ(count_units(whole.net()), units);
  EXPECT_LT(count_units(compacted.net()), units * 3 / 4);
  EXPECT_EQ(count_kept(whole.net()), count_kept(compacted.net()));
  EXPECT_LT(count_parameters(compacted.net()), values * 3 / 4);
}

TEST_P(Compaction, AFrozenUnitIsDeadInTheWeightsAndStaysSo) {
  SolverParameter parameter = solver_parameter(std::string(GetParam()) + "freeze_interval: 5");
  for (LayerParameter& layer : *parameter.mutable_net_param()->mutable_layer())
    if (layer.type() == "InformationBottleneck")
      for (int i = 0; i < 2; ++i) layer.add_param()->set_decay_mult(1);
  Solver solver(parameter, "solver", Device());
  solver.step(10);
  const int kept = count_kept(solver.net());
  ASSERT_LT(kept, count_units(solver.net()) * 3 / 4);
  std::vector<std::vector<bool>> frozen;
  for (const GateLayer* gate : solver.net().gates()) frozen.push_back(gate->frozen());
  solver.step(100);
  const Kept later = kept_units(solver.net().to_proto());
  for (std::size_t gate = 0; gate < frozen.size(); ++gate)
    for (std::size_t u = 0; u < frozen[gate].size(); ++u)
      EXPECT_FALSE(frozen[gate][u] && later[gate][u]) << gate << ", unit " << u;
}

class DeadUnitsResume : public testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(DeadUnitsResume, EndsWithTheSameBytes) {
  const TemporaryFolder folder;
  const auto [rule, interval] = GetParam();
  SolverParameter parameter = solver_parameter(std::string(rule) + interval);
  parameter.set_snapshot_prefix(folder / "run");
  Solver whole(parameter, "solver", Device());
  whole.step(18);
  Solver first(parameter, "solver", Device());
  first.step(10);  // two checks: units are counted, and some cut
  const std::string state = first.snapshot();
  Solver second(parameter, "solver", Device(), state);
  EXPECT_EQ(count_units(first.net()), count_units(second.net()));
  second.step(8);
  EXPECT_EQ(whole.net().to_proto().SerializeAsString(),
            second.net().to_proto().SerializeAsString());
}

const char* const kRules[] = {"momentum: 0.9 weight_decay: 0.001 kl_weight: 300 ",
                              "type: 'Adam' momentum: 0.9 ",
                              "type: 'AdaDelta' momentum: 0.95 delta: 1e-6 "};

INSTANTIATE_TEST_SUITE_P(Rules, Compaction, testing::ValuesIn(kRules));
INSTANTIATE_TEST_SUITE_P(Rules, DeadUnitsResume,
                         testing::Combine(testing::ValuesIn(kRules),
                                          testing::Values("compact_interval: 4",
                                                          "freeze_interval: 4")));

TEST(CompactionSnapshot, CarriesThePrototxtOfTheNetAsItIs) {
  const TemporaryFolder folder;
  SolverParameter parameter = solver_parameter("compact_interval: 2 compact_patience: 1");
  parameter.set_snapshot_prefix(folder / "run");
  Solver solver(parameter, "solver", Device());
  solver.step(4);
  solver.snapshot();
  const NetParameter model = read_net_prototxt(folder / "run_iter_4.prototxt");
  Net net(model, NetOptions());
  net.copy_weights(folder / "run_iter_4.caffemodel", Missing::FAIL);
  EXPECT_EQ(count_units(net), count_units(solver.net()));
}

TEST(CompactionNotes, NameTheLayerThatKeepsADeadUnit) {
  const auto why_left = [](const std::string& reader) {
    NetParameter model;
    parse_prototxt(R"(
      layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param {
        shape { dim: 2 dim: 3 } data_filler { type: 'gaussian' } } }
      layer { name: 'ip1' type: 'InnerProduct' bottom: 'data' top: 'ip1' inner_product_param {
        num_output: 4 weight_filler { type: 'xavier' } } }
      layer { name: 'ib' type: 'InformationBottleneck' bottom: 'ip1' top: 'ib' }
      layer { name: 'relu' type: 'ReLU' bottom: 'ib' top: 'relu' })" +
                       reader + R"(
      layer { name: 'ip2' type: 'InnerProduct' bottom: 'read' top: 'ip2' inner_product_param {
        num_output: 2 weight_filler { type: 'xavier' } } }
      layer { name: 'loss' type: 'Reduction' bottom: 'ip2' top: 'loss' loss_weight: 1 })",
                   "net", &model);
    const Net net(model, NetOptions());
    return compact(model, net, {}, {{"ib", {true, false, true, true}}}).why_left;
  };
  EXPECT_EQ(why_left("layer { name: 'read' type: 'Power' bottom: 'relu' top: 'read' }"), "");
  EXPECT_EQ(why_left("layer { name: 'bias' type: 'Bias' bottom: 'relu' top: 'read' }"),
            "layer 'bias' (Bias)");
  EXPECT_EQ(why_left("layer { name: 'read' type: 'Softmax' bottom: 'relu' top: 'read' }"),
            "layer 'read' (Softmax)");
  EXPECT_EQ(why_left("layer { name: 'read' type: 'Power' bottom: 'relu' top: 'read' "
                     "loss_weight: 0.1 }"),
            "layer 'read' (Power)");
  EXPECT_EQ(why_left("layer { name: 'read' type: 'Power' bottom: 'relu' top: 'read' } "
                     "layer { name: 'probe' type: 'TanH' bottom: 'relu' top: 'probe' }"),
            "layer 'probe' (TanH)");
}

TEST(CompactionOfPhases, CutsWhatOnlyTestReadsToFit) {
  SolverParameter parameter =
      solver_parameter("compact_interval: 5 compact_patience: 1 test_iter: 1 test_interval: 10");
  NetParameter probe;
  parse_prototxt(
      "layer { name: 'probe' type: 'InnerProduct' bottom: 'pool' top: 'probe' "
      "include { phase: TEST } inner_product_param { num_output: 2 } }",
      "probe", &probe);
  *parameter.mutable_net_param()->add_layer() = probe.layer(0);
  Solver solver(parameter, "solver", Device());
  const int units = count_units(solver.net());
  solver.step(10);
  EXPECT_LT(count_units(solver.net()), units * 3 / 4);
}

TEST(DeadUnitsTest, WaitForPatience) {
  Solver solver(solver_parameter(""), "solver", Device());
  DeadUnits dead(2, 3);
  EXPECT_FALSE(dead.check(solver.net()));
  EXPECT_FALSE(dead.check(solver.net()));
  const LivingUnits before = dead.living();
  EXPECT_EQ(std::count(before.at("ib1").begin(), before.at("ib1").end(), false), 0);
  EXPECT_TRUE(dead.check(solver.net()));
  const std::vector<float> scores = solver.net().gates()[0]->scores();
  for (std::size_t u = 0; u < scores.size(); ++u)
    EXPECT_EQ(dead.living().at("ib1")[u], scores[u] < 2) << u;
  EXPECT_FALSE(dead.check(solver.net())) << "nothing is new";
}

TEST(CompactionErrors, AreNamed) {
  const auto message = [](const std::string& fields) {
    return error_of([&] { Solver(solver_parameter(fields), "solver", Device()); });
  };
  EXPECT_NE(message("compact_interval: -1").find("compact_interval"), std::string::npos);
  EXPECT_NE(message("freeze_interval: -1").find("freeze_interval"), std::string::npos);
  EXPECT_NE(message("freeze_interval: 5 compact_interval: 5").find("exclude"), std::string::npos);
  EXPECT_NE(message("compact_interval: 5 compact_patience: 0").find("compact_patience"),
            std::string::npos);
  EXPECT_NE(message("compact_interval: 5 test_iter: 1 test_interval: 5 test_net_param { "
                    "layer { name: 'x' type: 'DummyData' top: 'x' dummy_data_param { "
                    "shape { dim: 1 } } } }")
                .find("no test_net"),
            std::string::npos);
  EXPECT_NE(message("compact_interval: 5 compact_threshold: -1").find("compact_threshold"),
            std::string::npos);
}

}  // namespace
}  // namespace vibnet
