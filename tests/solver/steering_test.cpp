#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/gate_rule.h"
#include "layers/gate_layer.h"
#include "net/cost.h"
#include "solver/compressed_cost.h"
#include "solver/cost_factors.h"
#include "solver/target.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"
#include "support/trained_net.h"
#include "vibnet/compress.h"
#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

namespace vibnet {
namespace {

const char* const kNet = R"(
  layer { name: 'data' type: 'DummyData' top: 'data' dummy_data_param {
    shape { dim: 8 dim: 2 dim: 6 dim: 6 } data_filler { type: 'gaussian' } } }
  layer { name: 'label' type: 'DummyData' top: 'label' dummy_data_param {
    shape { dim: 8 } data_filler { value: 2 } } }
  layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param {
    num_output: 12 kernel_size: 3 weight_filler { type: 'msra' } } }
  layer { name: 'relu' type: 'ReLU' bottom: 'conv' top: 'conv' }
  layer { name: 'ib1' type: 'InformationBottleneck' bottom: 'conv' top: 'ib1'
    information_bottleneck_param { gamma: 0.01 kl_scale: CHANNEL } }
  layer { name: 'ip1' type: 'InnerProduct' bottom: 'ib1' top: 'ip1' inner_product_param {
    num_output: 40 weight_filler { type: 'xavier' } } }
  layer { name: 'ib2' type: 'InformationBottleneck' bottom: 'ip1' top: 'ib2'
    information_bottleneck_param { gamma: 0.01 } }
  layer { name: 'ip2' type: 'InnerProduct' bottom: 'ib2' top: 'ip2' inner_product_param {
    num_output: 5 weight_filler { type: 'xavier' } } }
  layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'ip2' bottom: 'label' top: 'loss' }
)";

const InputShapes kShapes = {{"data", {8, 2, 6, 6}}, {"label", {8}}};
constexpr int kPlaces = 4 * 4;

/// Weights and FLOPs of kNet by hand.
double weights_by_hand(double channels, double hidden) {
  return channels * 2 * 9 + channels * kPlaces * hidden + hidden * 5;
}
double flops_by_hand(double channels, double hidden) {
  return 2 * (channels * 2 * 9 * kPlaces + channels * kPlaces * hidden + hidden * 5);
}

SolverParameter solver_parameter(const std::string& fields, const std::string& prefix = "run") {
  SolverParameter parameter;
  parse_prototxt(
      "lr_policy: 'fixed' random_seed: 3 base_lr: 0.02 type: 'Adam' momentum: 0.9 "
      "snapshot_prefix: '" +
          prefix + "' " + fields,
      "solver", &parameter);
  parse_prototxt(kNet, "net", parameter.mutable_net_param());
  return parameter;
}

std::vector<double> living(const Solver& solver) {
  std::vector<double> counts;
  for (const auto* gate : solver.net().gates()) {
    counts.push_back(0);
    for (const bool kept : gate->kept()) counts.back() += kept;
  }
  return counts;
}

/// What vibnet-compress makes of the net as it stands.
NetCost cost_now(const Solver& solver) {
  CompressOptions options;
  options.input_shapes = kShapes;
  const NetParameter weights = solver.net().to_proto();
  return cost_of_deployment(compress(solver.model(), weights, options).deploy);
}

TEST(CompressedCost, IsWhatIsWorkedOutByHand) {
  const Net net(net_of(kNet), NetOptions());
  const CompressedCost cost(net_of(kNet), net);
  const NetCost dense = cost_of_deployment(cost.dense());
  EXPECT_EQ(dense.weights, weights_by_hand(12, 40));
  EXPECT_EQ(dense.flops, flops_by_hand(12, 40));
  Kept kept = kept_units(net.to_proto());
  for (int unit = 0; unit < 7; ++unit) kept[0][unit] = false;
  for (int unit = 20; unit < 31; ++unit) kept[1][unit] = false;
  const NetCost smaller = cost.planner(net.to_proto()).cost(kept);
  EXPECT_EQ(smaller.weights, weights_by_hand(5, 29));
  EXPECT_EQ(smaller.flops, flops_by_hand(5, 29));
}

TEST(CompressedCost, IsNothingForANetThatLostALayer) {
  const Net net(net_of(kNet), NetOptions());
  Kept kept = kept_units(net.to_proto());
  kept[0].assign(12, false);
  EXPECT_EQ(CompressedCost(net_of(kNet), net).planner(net.to_proto()).cost(kept).flops, 0);
}

TEST(CostFactors, AreWhatAUnitCostsOverTheMean) {
  const Net net(net_of(kNet), NetOptions());
  NetParameter weights = net.to_proto();
  Kept kept = kept_units(weights);
  for (int unit = 3; unit < 12; ++unit) kept[0][unit] = false;  // 3 of 12 live, 35 of 40
  for (int unit = 0; unit < 5; ++unit) kept[1][unit] = false;
  settle_gates(kept, &weights);
  UnitPlanner planner = CompressedCost(net_of(kNet), net).planner(weights);
  const double channel = 2 * 9 * kPlaces + kPlaces * 35;
  const double hidden = 3 * kPlaces + 5;
  const double mean = (3 * channel + 35 * hidden) / 38;
  const auto by_flops = cost_factors(&planner, SolverParameter::FLOPS);
  EXPECT_NEAR(by_flops[0], channel / mean, 1e-9);
  EXPECT_NEAR(by_flops[1], hidden / mean, 1e-9);
  const auto by_weights = cost_factors(&planner, SolverParameter::WEIGHTS);
  EXPECT_NEAR(by_weights[0] / by_weights[1], (2 * 9 + kPlaces * 35) / hidden, 1e-9);
}

TEST(CostFactors, HoldForAGateWithOneLivingUnit) {
  const Net net(net_of(kNet), NetOptions());
  NetParameter weights = net.to_proto();
  Kept kept = kept_units(weights);
  for (int unit = 1; unit < 12; ++unit) kept[0][unit] = false;
  settle_gates(kept, &weights);
  UnitPlanner planner = CompressedCost(net_of(kNet), net).planner(weights);
  const auto factors = cost_factors(&planner, SolverParameter::WEIGHTS);
  EXPECT_NEAR(factors[0] / factors[1], (2.0 * 9 + kPlaces * 40) / (kPlaces + 5), 1e-9);
}

TEST(CostFactors, CountUnitsWhoseBlobHasSeveralReaders) {
  NetParameter model = net_of(kNet);
  LayerParameter more = model.layer(5);
  more.set_name("more");
  more.set_top(0, "more");
  LayerParameter sum;
  parse_prototxt("name: 'sum' type: 'Eltwise' bottom: 'more' bottom: 'ip1' top: 'sum'", "sum",
                 &sum);
  const auto insert = [&](const LayerParameter& layer, int place) {
    *model.add_layer() = layer;
    for (int i = model.layer_size() - 1; i > place; --i)
      model.mutable_layer()->SwapElements(i, i - 1);
  };
  insert(more, 6);
  insert(sum, 7);
  for (LayerParameter& layer : *model.mutable_layer())
    if (layer.name() == "ib2") layer.set_bottom(0, "sum");
  const Net net(model, NetOptions());
  UnitPlanner planner = CompressedCost(model, net).planner(net.to_proto());
  for (const auto kind : {SolverParameter::WEIGHTS, SolverParameter::FLOPS})
    for (const double factor : cost_factors(&planner, kind)) EXPECT_GT(factor, 0.01);
}

TEST(SettleGate, MovesUnitsToTheirSides) {
  for (const char* type : {"InformationBottleneck", "HardConcrete"}) {
    LayerParameter layer;
    layer.set_type(type);
    layer.mutable_information_bottleneck_param()->set_threshold(-0.5F);
    for (int b = 0; b < gate_blobs(type); ++b) {
      BlobProto* blob = layer.add_blobs();
      for (const float value : {0.0F, -9.0F, 9.0F, 1.0F, -1.0F, 2.0F}) blob->add_data(value);
    }
    for (const bool kept : {true, false}) {
      LayerParameter settled = layer;
      settle_gate(std::vector<bool>(6, kept), &settled);
      for (const GateUnit& unit : gate_units(settled)) {
        EXPECT_EQ(unit.score < gate_threshold(settled), kept) << type;
        EXPECT_EQ(unit.factor != 0, kept) << type;
      }
    }
  }
}

class HitsTarget : public testing::TestWithParam<const char*> {};

TEST_P(HitsTarget, WithinTwoPercent) {
  const SolverParameter parameter = solver_parameter("max_iter: 120 " + std::string(GetParam()));
  Solver solver(parameter, "solver", Device());
  const NetCost dense = cost_of_deployment(make_deploy(net_of(kNet), kShapes));
  solver.step(120);
  const NetCost cost = cost_now(solver);
  const TargetParameter& target = parameter.target();
  double share = cost.flops / dense.flops / target.flops();
  if (target.has_weights()) share = double(cost.weights) / dense.weights / target.weights();
  if (target.has_activation_memory())
    share = double(cost.activation_bytes) / dense.activation_bytes / target.activation_memory();
  EXPECT_NEAR(share, 1, 0.02);
}

// 0.26786: 6 of the 12 channels.
INSTANTIATE_TEST_SUITE_P(Targets, HitsTarget,
                         testing::Values("target { flops: 0.5 }", "target { flops: 0.1 }",
                                         "target { weights: 0.3 }", "target { weights: 0.06 }",
                                         "target { activation_memory: 0.26786 }",
                                         "target { flops: 0.3 } compact_interval: 3",
                                         "target { flops: 0.3 } freeze_interval: 3",
                                         "target { flops: 0.1 } freeze_interval: 3 "
                                         "compact_threshold: 0.5 compact_patience: 1",
                                         "target { weights: 0.1 } kl_cost: WEIGHTS "
                                         "compact_interval: 3 compact_threshold: 1"));

TEST(Target, NoGateIsPressedUntilNothingIsLeft) {
  // The channels, which cost nearly all of the FLOPs, are hardly pressed, the others far too hard.
  SolverParameter parameter = solver_parameter("max_iter: 200 target { flops: 0.3 }");
  for (LayerParameter& layer : *parameter.mutable_net_param()->mutable_layer()) {
    if (layer.name() == "ib1") layer.mutable_information_bottleneck_param()->set_gamma(1e-4f);
    if (layer.name() == "ib2") layer.mutable_information_bottleneck_param()->set_gamma(3);
  }
  Solver solver(parameter, "solver", Device());
  while (solver.iteration() < 100) {  // before the units are settled
    solver.step(4);
    EXPECT_GT(living(solver)[1], 0);  // unguarded, none are left from iteration 44 on
  }
}

/// The first 4 of the gate's 16 units are all that the target is made of.
const char* const kSlowNet = R"(
  layer { name: 'told' type: 'DummyData' top: 'told' dummy_data_param {
    shape { dim: 32 dim: 4 } data_filler { type: 'gaussian' } } }
  layer { name: 'noise' type: 'DummyData' top: 'noise' dummy_data_param {
    shape { dim: 32 dim: 12 } data_filler { type: 'gaussian' } } }
  layer { name: 'target' type: 'InnerProduct' bottom: 'told' top: 'target' param { lr_mult: 0 }
    inner_product_param { num_output: 1 bias_term: false weight_filler { value: 1 } } }
  layer { name: 'all' type: 'Concat' bottom: 'told' bottom: 'noise' top: 'all' }
  layer { name: 'gate' type: 'HardConcrete' bottom: 'all' top: 'gate'
    hard_concrete_param { gamma: 0.01 } }
  layer { name: 'ip' type: 'InnerProduct' bottom: 'gate' top: 'ip' param { lr_mult: 10 }
    inner_product_param { num_output: 1 bias_term: false weight_filler { type: 'xavier' } } }
  layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 'target' top: 'loss' }
)";

TEST(Target, ThePressureOnGatesThatMoveSlowlyDoesNotDrownTheData) {
  SolverParameter parameter = solver_parameter("max_iter: 300 target { flops: 0.4 }");
  parse_prototxt(kSlowNet, "net", parameter.mutable_net_param());
  parameter.set_base_lr(0.003f);
  Solver solver(parameter, "solver", Device());
  const GateLayer& gate = *solver.net().gates()[0];
  const std::vector<float> before = gate.scores();
  double highest = 0;
  while (solver.iteration() < 300) {
    solver.step(6);
    highest = std::max<double>(highest, solver.net().context().kl_weight);
  }
  EXPECT_LT(highest, 1000);  // unbounded, it comes to 8103, and closes all alike
  for (int unit = 0; unit < 16; ++unit) {
    EXPECT_EQ(gate.kept()[unit], unit < 4);
    if (unit < 4) {
      EXPECT_LT(gate.scores()[unit], before[unit]);
    }
  }
}

TEST(Target, SettledUnitsStayAsTheyAre) {
  Solver solver(solver_parameter("max_iter: 60 target { weights: 0.3 }"), "solver", Device());
  solver.step(43);
  EXPECT_EQ(solver.net().context().kl_weight, 0);
  const auto settled = living(solver);
  const std::string before = solver.net().to_proto().SerializeAsString();
  for (int step = 0; step < 17; ++step) {
    solver.step(1);
    EXPECT_EQ(living(solver), settled);
  }
  EXPECT_NE(solver.net().to_proto().SerializeAsString(), before);
  // Cut units make nothing in TRAIN: what is left of the noise is far below what a float shows.
  const auto* gate = solver.net().gates()[0];
  const Blob* top = solver.net().blob("ib1");
  const auto kept = gate->kept();
  for (int unit = 0; unit < gate->units(); ++unit)
    for (int s = 0; s < kPlaces && !kept[unit]; ++s)
      EXPECT_LT(std::fabs(top->cpu_data()[unit * kPlaces + s]), 1e-12F);
}

class ResumedSteering : public testing::TestWithParam<const char*> {};

TEST_P(ResumedSteering, EndsWithTheSameBytes) {
  const TemporaryFolder folder;
  const SolverParameter parameter = solver_parameter(GetParam(), folder / "run");
  Solver whole(parameter, "solver", Device());
  std::vector<std::string> states;
  for (const int part : {23, 20, 22}) {  // before the units are settled, and behind
    whole.step(part);
    states.push_back(whole.snapshot());
  }
  for (std::size_t i = 0; i + 1 < states.size(); ++i) {
    Solver resumed(parameter, "solver", Device(), states[i]);
    resumed.step(whole.iteration() - resumed.iteration());
    EXPECT_EQ(whole.net().to_proto().SerializeAsString(),
              resumed.net().to_proto().SerializeAsString());
    EXPECT_EQ(whole.net().context().kl_weight, resumed.net().context().kl_weight);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, ResumedSteering,
                         testing::Values("max_iter: 65 target { flops: 0.3 }",
                                         "max_iter: 400 target { flops: 0.3 }",
                                         "max_iter: 100 target { flops: 0.3 } iter_size: 2",
                                         "max_iter: 65 target { flops: 0.3 } compact_interval: 2",
                                         "max_iter: 400 kl_cost: FLOPS kl_weight: 3",
                                         "max_iter: 65 kl_cost: WEIGHTS target { weights: 0.2 }"));

TEST(Target, ALatencyIsMeasured) {
  // However fast the machine is, a second is time enough, and a nanosecond is not.
  Solver solver(solver_parameter("max_iter: 4 target { latency_ms: 1000 }"), "solver", Device());
  solver.step(4);
  EXPECT_EQ(living(solver), (std::vector<double>{12, 40}));
  EXPECT_NE(error_of([] {
              Solver(solver_parameter("max_iter: 4 target { latency_ms: 1e-6 }"), "solver",
                     Device());
            }).find("cannot be reached"),
            std::string::npos);
}

TEST(Target, ATimeFarOffItIsAnError) {
  const Target target{TargetKind::LATENCY, 0.3};
  FoundUnits found;
  found.kept = {{true, false}};
  found.cost = 0.7;
  found.scatter = 0.5;
  EXPECT_TRUE(is_mistimed(target, found));
  const std::string error = error_of([&] { tell_of_miss(target, found); });
  EXPECT_NE(error.find("0.3 was asked for, and the units found take 0.7 ms"), std::string::npos);
  EXPECT_NE(error.find("scatter by 50 %"), std::string::npos);
  found.cost = 0.33;
  EXPECT_EQ(error_of([&] { tell_of_miss(target, found); }), "");
  found.cost = 0.02;
  found.kept = {{true, true}};  // the whole net is fast enough
  EXPECT_EQ(error_of([&] { tell_of_miss(target, found); }), "");
  found.kept = {{true, false}};
  EXPECT_EQ(error_of([&] { tell_of_miss({TargetKind::FLOPS, 0.3}, found); }), "");
}

std::string refusal(const std::string& fields) {
  return error_of([&] { Solver(solver_parameter(fields), "s.prototxt", Device()); });
}

TEST(Target, RefusesWhatCannotBe) {
  EXPECT_NE(refusal("max_iter: 9 target { flops: 0.5 weights: 0.5 }").find("2 targets are set"),
            std::string::npos);
  EXPECT_NE(refusal("max_iter: 9 target { }").find("0 targets are set"), std::string::npos);
  for (const char* share : {"0", "1.5", "-1", "nan"})
    EXPECT_NE(refusal("max_iter: 9 target { flops: " + std::string(share) + " }").find("flops"),
              std::string::npos)
        << share;
  EXPECT_NE(refusal("max_iter: 9 target { latency_ms: 0 }").find("must be above 0"),
            std::string::npos);
  EXPECT_NE(refusal("target { flops: 0.5 }").find("max_iter"), std::string::npos);
  EXPECT_NE(refusal("max_iter: 9 kl_weight: 0 target { flops: 0.5 }").find("kl_weight"),
            std::string::npos);
  const std::string small = refusal("max_iter: 9 target { weights: 0.001 }");
  EXPECT_NE(small.find("s.prototxt: target: weights: 0.001 cannot be reached"), std::string::npos);
  const std::string least = std::to_string(weights_by_hand(1, 1) / weights_by_hand(12, 40));
  EXPECT_NE(small.find(least.substr(0, 6)), std::string::npos) << small;
}

TEST(Target, NeedsABottleneck) {
  SolverParameter parameter = solver_parameter("max_iter: 9 target { flops: 0.5 }");
  auto* layers = parameter.mutable_net_param()->mutable_layer();
  for (LayerParameter& layer : *layers)
    if (layer.type() == "InformationBottleneck") layer.set_type("Power");
  EXPECT_NE(error_of([&] { Solver(parameter, "solver", Device()); }).find("no gate to steer"),
            std::string::npos);
}

TEST(Target, IsThatOfTheResumedRun) {
  const TemporaryFolder folder;
  Solver steered(solver_parameter("max_iter: 9 target { flops: 0.5 }", folder / "run"), "solver",
                 Device());
  const std::string state = steered.snapshot();
  for (const char* other : {"target { flops: 0.4 }", "target { weights: 0.5 }", ""}) {
    const SolverParameter parameter = solver_parameter("max_iter: 9 " + std::string(other));
    EXPECT_NE(error_of([&] { Solver(parameter, "solver", Device(), state); }).find("was steered"),
              std::string::npos)
        << other;
  }
}

TEST(Steering, IsResumedWithItsOwnKLCost) {
  const TemporaryFolder folder;
  Solver steered(solver_parameter("max_iter: 9 kl_cost: FLOPS", folder / "run"), "solver",
                 Device());
  const std::string state = steered.snapshot();
  const auto refusal = [&](const std::string& fields) {
    const SolverParameter parameter = solver_parameter("max_iter: 9 " + fields);
    return error_of([&] { Solver(parameter, "solver", Device(), state); });
  };
  EXPECT_NE(refusal("kl_cost: WEIGHTS").find("was steered by kl_cost: FLOPS"), std::string::npos);
  EXPECT_NE(refusal("kl_cost: FLOPS target { flops: 0.5 }").find("was steered to no target"),
            std::string::npos);
  EXPECT_EQ(refusal("kl_cost: FLOPS"), "");
}

TEST(Target, RefusesTheStateOfARunWithoutOne) {
  const TemporaryFolder folder;
  Solver plain(solver_parameter("max_iter: 9", folder / "run"), "solver", Device());
  const std::string state = plain.snapshot();
  const SolverParameter steered = solver_parameter("max_iter: 9 target { flops: 0.5 }");
  EXPECT_NE(error_of([&] { Solver(steered, "solver", Device(), state); }).find("another solver"),
            std::string::npos);
}

}  // namespace
}  // namespace vibnet
