#include "solver/update_rule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <utility>
#include <vector>

#include "support/drawn.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"
#include "vibnet/proto_io.h"
#include "vibnet/solver.h"

namespace vibnet {
namespace {

using testing::HasSubstr;

/// Weight w = 3 and bias b = 0.5, loss (w + b - 1)^2 / 2: both have the gradient w + b - 1.
SolverParameter parameter_of(const std::string& fields) {
  SolverParameter parameter;
  parse_prototxt(R"(lr_policy: 'fixed' base_lr: 0.1 random_seed: 1 net_param {
    layer { name: 'x' type: 'DummyData' top: 'x' dummy_data_param {
      shape { dim: 1 dim: 1 } data_filler { value: 1 } } }
    layer { name: 't' type: 'DummyData' top: 't' dummy_data_param {
      shape { dim: 1 dim: 1 } data_filler { value: 1 } } }
    layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'ip'
      param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0.5 }
      inner_product_param {
        num_output: 1 weight_filler { value: 3 } bias_filler { value: 0.5 } } }
    layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 't' top: 'loss' } } )" +
                     fields,
                 "solver", &parameter);
  return parameter;
}

double value_of(const Solver& solver, int blob) {
  return solver.net().layer("ip")->blobs()[blob]->cpu_data()[0];
}

/// A rule as its paper or Caffe states it, for one value in double precision: g is the gradient
/// with the decay in it, t the step from 1.
struct Reference {
  const char* name;
  const char* fields;
  void (*step)(double g, double rate, int t, double* w, double* h, double* s);
  /// The weight_decay that is no part of g.
  double decoupled_decay = 0;
};

const Reference kReferences[] = {
    {"AdaGrad", "type: 'AdaGrad' delta: 0.01 weight_decay: 0.2",
     [](double g, double rate, int, double* w, double* h, double*) {
       *h += g * g;
       *w -= rate * g / (std::sqrt(*h) + 0.01);
     }},
    {"RMSProp", "type: 'RMSProp' rms_decay: 0.7 delta: 0.02 weight_decay: 0.2",
     [](double g, double rate, int, double* w, double* h, double*) {
       *h = 0.7 * *h + 0.3 * g * g;
       *w -= rate * g / (std::sqrt(*h) + 0.02);
     }},
    {"AdaDelta", "type: 'AdaDelta' momentum: 0.6 delta: 0.05 weight_decay: 0.2",
     [](double g, double rate, int, double* w, double* h, double* s) {
       *h = 0.6 * *h + 0.4 * g * g;
       const double step = g * std::sqrt((*s + 0.05) / (*h + 0.05));
       *s = 0.6 * *s + 0.4 * step * step;
       *w -= rate * step;
     }},
    {"Adam", "type: 'Adam' momentum: 0.8 momentum2: 0.9 delta: 0.1 weight_decay: 0.2",
     [](double g, double rate, int t, double* w, double* h, double* s) {
       *h = 0.8 * *h + 0.2 * g;
       *s = 0.9 * *s + 0.1 * g * g;
       const double correction = std::sqrt(1 - std::pow(0.9, t)) / (1 - std::pow(0.8, t));
       *w -= rate * correction * *h / (std::sqrt(*s) + 0.1);
     }},
    {"AdamW", "type: 'AdamW' momentum: 0.8 momentum2: 0.9 delta: 0.1 weight_decay: 0.2",
     [](double g, double rate, int t, double* w, double* h, double* s) {
       *h = 0.8 * *h + 0.2 * g;
       *s = 0.9 * *s + 0.1 * g * g;
       const double mean = *h / (1 - std::pow(0.8, t));
       const double square = *s / (1 - std::pow(0.9, t));
       *w -= rate * mean / (std::sqrt(square) + 0.1);
     },
     0.2}};

class UpdateRuleTest : public testing::TestWithParam<Reference> {};

TEST_P(UpdateRuleTest, TakesTheStepsOfTheReference) {
  const Reference& reference = GetParam();
  Solver solver(parameter_of(reference.fields), "solver", Device());
  double w = 3, w_h = 0, w_s = 0;
  double b = 0.5, b_h = 0, b_s = 0;
  const double decay = 0.2 - reference.decoupled_decay;
  for (int t = 1; t <= 6; ++t) {
    const double g = w + b - 1;
    const double w_g = g + decay * w;
    const double b_g = g + decay * 0.5 * b;
    w -= 0.1 * reference.decoupled_decay * w;
    b -= 0.2 * reference.decoupled_decay * 0.5 * b;
    reference.step(w_g, 0.1, t, &w, &w_h, &w_s);
    reference.step(b_g, 0.2, t, &b, &b_h, &b_s);
    solver.step(1);
    ASSERT_NEAR(value_of(solver, 0), w, 2e-6) << "step " << t;
    ASSERT_NEAR(value_of(solver, 1), b, 2e-6) << "step " << t;
  }
}

/// l1_decay times kl_weight times the sign is a part of g, beside weight decay of either kind.
TEST_P(UpdateRuleTest, L1DecayIsAPartOfTheGradient) {
  const Reference& reference = GetParam();
  SolverParameter parameter =
      parameter_of(std::string(reference.fields) + " kl_weight: 0.5 kl_warmup: 4");
  parameter.set_base_lr(0.3f);
  LayerParameter& ip = *parameter.mutable_net_param()->mutable_layer(2);
  ip.mutable_param(0)->set_l1_decay(0.8f);
  ip.mutable_inner_product_param()->mutable_weight_filler()->set_value(-0.4f);
  Solver solver(parameter, "solver", Device());
  double w = -0.4f, w_h = 0, w_s = 0;
  double b = 0.5, b_h = 0, b_s = 0;
  const double decay = 0.2 - reference.decoupled_decay;
  bool was_positive = false;
  for (int t = 1; t <= 12; ++t) {
    const double kl_weight = 0.5 * std::min(1.0, t / 4.0);
    const double sign = w > 0 ? 1 : -1;
    const double g = w + b - 1;
    const double w_g = g + 0.8 * kl_weight * sign + decay * w;
    const double b_g = g + decay * 0.5 * b;
    w -= 0.3 * reference.decoupled_decay * w;
    b -= 0.6 * reference.decoupled_decay * 0.5 * b;
    reference.step(w_g, 0.3, t, &w, &w_h, &w_s);
    reference.step(b_g, 0.6, t, &b, &b_h, &b_s);
    solver.step(1);
    ASSERT_NEAR(value_of(solver, 0), w, 2e-5) << "step " << t;
    ASSERT_NEAR(value_of(solver, 1), b, 2e-5) << "step " << t;
    was_positive = was_positive || w > 0;
  }
  EXPECT_TRUE(was_positive);  // so both signs were met
}

INSTANTIATE_TEST_SUITE_P(Rules, UpdateRuleTest, testing::ValuesIn(kReferences),
                         [](const auto& info) { return std::string(info.param.name); });

/// A solverstate as Caffe writes it: the first history blob of each parameter, then the second.
TEST(UpdateRule, ResumesFromCaffesOrderOfHistory) {
  const TemporaryFolder folder;
  const SolverParameter parameter = parameter_of("type: 'Adam' momentum: 0.8 momentum2: 0.9");
  write_binary(Solver(parameter, "solver", Device()).net().to_proto(), folder / "w.caffemodel");
  SolverState state;
  parse_prototxt(R"(iter: 4 current_step: 0
    history { shape { dim: 1 dim: 1 } data: 0.1 } history { shape { dim: 1 } data: 0.2 }
    history { shape { dim: 1 dim: 1 } data: 0.3 } history { shape { dim: 1 } data: 0.4 })",
                 "state", &state);
  state.set_learned_net("/where/caffe/was/w.caffemodel");
  write_binary(state, folder / "s.solverstate");
  Solver solver(parameter, "solver", Device(), folder / "s.solverstate");
  solver.step(1);
  const double correction = std::sqrt(1 - std::pow(0.9, 5)) / (1 - std::pow(0.8, 5));
  const double g = 2.5;
  const auto step = [&](double mean, double square) {
    return correction * (0.8 * mean + 0.2 * g) / std::sqrt(0.9 * square + 0.1 * g * g);
  };
  EXPECT_NEAR(value_of(solver, 0), 3 - 0.1 * step(0.1, 0.3), 1e-6);
  EXPECT_NEAR(value_of(solver, 1), 0.5 - 0.2 * step(0.2, 0.4), 1e-6);
}

/// Files of 2014 state each shape as num, channels, height and width.
TEST(UpdateRule, ResumesFromHistoryWithFourAxes) {
  const TemporaryFolder folder;
  const SolverParameter parameter = parameter_of("momentum: 0.5");
  write_binary(Solver(parameter, "solver", Device()).net().to_proto(), folder / "w.caffemodel");
  SolverState state;
  parse_prototxt(R"(iter: 4
    history { num: 1 channels: 1 height: 1 width: 1 data: 2 }
    history { num: 1 channels: 1 height: 1 width: 1 data: 4 })",
                 "state", &state);
  state.set_learned_net(folder / "w.caffemodel");
  write_binary(state, folder / "s.solverstate");
  Solver solver(parameter, "solver", Device(), folder / "s.solverstate");
  solver.step(1);
  EXPECT_NEAR(value_of(solver, 0), 3 - (1 + 0.1 * 2.5), 1e-6);
  EXPECT_NEAR(value_of(solver, 1), 0.5 - (2 + 0.2 * 2.5), 1e-6);
}

TEST(UpdateRule, OldSolverTypesAreTheirRules) {
  const std::pair<const char*, const char*> same[] = {
      {"solver_type: SGD momentum: 0.9", "type: 'SGD' momentum: 0.9"},
      {"solver_type: NESTEROV momentum: 0.9", "type: 'Nesterov' momentum: 0.9"},
      {"solver_type: ADAGRAD", "type: 'AdaGrad'"},
      {"solver_type: RMSPROP", "type: 'RMSProp'"},
      {"solver_type: ADADELTA momentum: 0.9", "type: 'AdaDelta' momentum: 0.9"},
      {"solver_type: ADAM momentum: 0.9", "type: 'Adam' momentum: 0.9"}};
  std::set<double> results;
  for (const auto& [old, today] : same) {
    Solver a(parameter_of(old), "solver", Device());
    Solver b(parameter_of(today), "solver", Device());
    a.step(2);
    b.step(2);
    EXPECT_EQ(value_of(a, 0), value_of(b, 0)) << old;
    results.insert(value_of(a, 0));
  }
  EXPECT_EQ(results.size(), std::size(same)) << "two rules step alike";
}

TEST(UpdateRule, GivesPartsWhatItGivesTheWhole) {
  constexpr int kCount = 1000;
  for (const char* fields : {"type: 'SGD' momentum: 0.9", "type: 'Nesterov' momentum: 0.9",
                             "type: 'AdaGrad'", "type: 'RMSProp'", "type: 'AdaDelta' momentum: 0.9",
                             "type: 'Adam' momentum: 0.9", "type: 'AdamW' momentum: 0.9"}) {
    const auto rule = make_update_rule(parameter_of(fields));
    const std::vector<float> gradient = drawn(kCount, "gradient");
    const auto updated = [&](const std::vector<int>& ends) {
      std::vector<float> data = drawn(kCount, "data");
      std::vector<float> first(kCount, 0.5f);
      std::vector<float> second(kCount, 0.25f);
      int begin = 0;
      for (const int end : ends) {
        rule->update(begin, end, rule->factors(3, 0.1, 1), 0.1f, {0.5f, 0.01f, 0.02f, 0.03f},
                     gradient.data(), {first.data(), second.data()}, data.data());
        begin = end;
      }
      data.insert(data.end(), first.begin(), first.end());
      data.insert(data.end(), second.begin(), second.end());
      return data;
    };
    EXPECT_EQ(updated({kCount}), updated({333, 334, kCount})) << fields;
  }
}

TEST(UpdateRule, RefusesWhatCaffeRefuses) {
  const auto error = [](const std::string& fields) {
    return error_of([&] { make_update_rule(parameter_of(fields)); });
  };
  EXPECT_THAT(error("type: 'AdaGrad' momentum: 0.9"), HasSubstr("AdaGrad takes no momentum"));
  EXPECT_THAT(error("type: 'RMSProp' momentum: 0.9"), HasSubstr("RMSProp takes no momentum"));
  EXPECT_THAT(error("type: 'RMSProp' rms_decay: 1"), HasSubstr("rms_decay: 1"));
  EXPECT_THAT(error("type: 'Adam' solver_type: ADAM"), HasSubstr("both type and solver_type"));
  EXPECT_THAT(error("type: 'Adam' momentum: 1"), HasSubstr("below 1"));
  EXPECT_THAT(error("type: 'AdamW' regularization_type: 'L1'"), HasSubstr("must be L2"));
  EXPECT_THAT(error("type: 'Adagrad'"), HasSubstr("AdaGrad"));
}

}  // namespace
}  // namespace vibnet
