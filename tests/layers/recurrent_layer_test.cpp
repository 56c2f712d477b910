#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/layer_cases.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

#define FILLERS                                                         \
  "num_output: 3 weight_filler { type: 'uniform' min: -0.9 max: 0.9 } " \
  "bias_filler { type: 'uniform' min: -0.5 max: 0.5 } "

/// Sequences that begin at step 0 in every stream, and anew in the midst of some.
void set_cont(LayerFixture* fixture) {
  Blob& cont = fixture->bottom(1);
  const int streams = cont.shape(1);
  for (int i = 0; i < cont.count(); ++i)
    cont.mutable_cpu_data()[i] = i < streams || i % 5 == 3 ? 0.0f : 1.0f;
}

void set_cont_to_one(LayerFixture* fixture) { fixture->bottom(1).set_data(1); }

void set_cont_to_fractions(LayerFixture* fixture) {
  set_cont(fixture);
  Blob& cont = fixture->bottom(1);
  for (int i = cont.shape(1); i < cont.count(); ++i)
    cont.mutable_cpu_data()[i] = 0.2f + 0.1f * static_cast<float>(i);
}

[[maybe_unused]] const bool kGradients = add_gradient_cases({
    {"LSTM",
     "type: 'LSTM' recurrent_param { " FILLERS "}",
     {{4, 2, 5}, {4, 2}},
     1,
     kSmooth,
     set_cont},
    {"LSTMWithStaticInput",
     "type: 'LSTM' recurrent_param { " FILLERS "}",
     {{4, 2, 2, 2}, {4, 2}, {2, 3, 2}},
     1,
     kSmooth,
     set_cont},
    {"LSTMFromGivenStates",
     "type: 'LSTM' recurrent_param { " FILLERS "expose_hidden: true }",
     {{3, 2, 4}, {3, 2}, {1, 2, 3}, {1, 2, 3}},
     1,
     kSmooth,
     set_cont_to_one},
    {"RNN",
     "type: 'RNN' recurrent_param { " FILLERS "}",
     {{4, 2, 5}, {4, 2}},
     1,
     kSmooth,
     set_cont},
    {"RNNWithStaticInput",
     "type: 'RNN' recurrent_param { " FILLERS "}",
     {{4, 2, 2, 2}, {4, 2}, {2, 3, 2}},
     1,
     kSmooth,
     set_cont},
    {"RNNFromAGivenState",
     "type: 'RNN' recurrent_param { " FILLERS "expose_hidden: true }",
     {{3, 2, 4}, {3, 2}, {2, 5}, {1, 2, 3}},
     1,
     kSmooth,
     set_cont_to_one},
    {"RNNOfFractionalCont",
     "type: 'RNN' recurrent_param { " FILLERS "}",
     {{4, 2, 5}, {4, 2}},
     1,
     kSmooth,
     set_cont_to_fractions},
});

[[maybe_unused]] const bool kWrong = add_wrong_cases({
    {"LSTMWithoutOutputs", "type: 'LSTM'", {{2, 1, 3}, {2, 1}}, "num_output is missing"},
    {"LSTMOfTooManyOutputs",
     "type: 'LSTM' recurrent_param { num_output: 4000000000 }",
     {{2, 1, 3}, {2, 1}},
     "num_output: 4000000000 is too large"},
    {"RNNWithoutOutputs", "type: 'RNN'", {{2, 1, 3}, {2, 1}}, "num_output is missing"},
    {"LSTMOfTwoAxes",
     "type: 'LSTM' recurrent_param { num_output: 2 }",
     {{2, 1}, {2, 1}},
     "needs steps, streams and values"},
    {"LSTMOfNoSteps",
     "type: 'LSTM' recurrent_param { num_output: 2 }",
     {{0, 1, 2}, {0, 1}},
     "x has no time step"},
    {"LSTMWithContOfOtherSteps",
     "type: 'LSTM' recurrent_param { num_output: 2 }",
     {{2, 3, 4}, {3, 2}},
     "cont is 3x2 (6)"},
    {"LSTMWithContOfThreeAxes",
     "type: 'LSTM' recurrent_param { num_output: 2 }",
     {{2, 3, 4}, {2, 3, 1}},
     "cont is 2x3x1 (6)"},
    {"RNNWithAFlatStaticInput",
     "type: 'RNN' recurrent_param { num_output: 2 }",
     {{2, 3, 4}, {2, 3}, {3}},
     "x_static is 3 (3)"},
    {"RNNWithStaticInputOfOtherStreams",
     "type: 'RNN' recurrent_param { num_output: 2 }",
     {{2, 3, 4}, {2, 3}, {4, 1}},
     "x_static is 4x1 (4)"},
});

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// y += W x, W being outputs x inputs.
void add_product(const float* w, const float* x, int outputs, int inputs, std::vector<double>* y) {
  for (int o = 0; o < outputs; ++o)
    for (int i = 0; i < inputs; ++i) (*y)[o] += double{w[o * inputs + i]} * x[i];
}
void add_product(const float* w, const std::vector<double>& x, std::vector<double>* y) {
  for (std::size_t o = 0; o < y->size(); ++o)
    for (std::size_t i = 0; i < x.size(); ++i) (*y)[o] += w[o * x.size() + i] * x[i];
}

/// The layer by its definition, one stream and value at a time, in double.
class Reference {
 public:
  Reference(LayerFixture* fixture, bool is_lstm, bool has_static)
      : fixture_(*fixture), is_lstm_(is_lstm), has_static_(has_static) {
    const int streams = fixture->bottom().shape(1);
    h.assign(streams, std::vector<double>(kUnits));
    c = h;
  }

  /// The output of a batch, T x N x D.
  std::vector<double> run() {
    const Blob& x = fixture_.bottom();
    std::vector<double> output;
    for (int t = 0; t < x.shape(0); ++t)
      for (int n = 0; n < x.shape(1); ++n) step(t, n, &output);
    return output;
  }

  std::vector<std::vector<double>> h, c;

 private:
  static constexpr int kUnits = 3;

  const float* blob(int index) { return fixture_.layer().blobs()[index]->cpu_data(); }

  void step(int t, int n, std::vector<double>* output) {
    const Blob& x = fixture_.bottom();
    const int streams = x.shape(1);
    const double cont = fixture_.bottom(1).cpu_data()[t * streams + n];
    const int gate_values = is_lstm_ ? 4 * kUnits : kUnits;
    std::vector<double> gate(blob(1), blob(1) + gate_values);
    add_product(blob(0), x.cpu_data() + (t * streams + n) * x.count(2), gate_values, x.count(2),
                &gate);
    if (has_static_) {
      const Blob& fixed = fixture_.bottom(2);
      add_product(blob(2), fixed.cpu_data() + n * fixed.count(1), gate_values, fixed.count(1),
                  &gate);
    }
    std::vector<double> before = h[n];
    for (double& value : before) value *= cont;
    const int recurrent = has_static_ ? 3 : 2;
    add_product(blob(recurrent), before, &gate);
    if (is_lstm_) {
      for (int d = 0; d < kUnits; ++d) {
        c[n][d] = cont * sigmoid(gate[kUnits + d]) * c[n][d] +
                  sigmoid(gate[d]) * std::tanh(gate[3 * kUnits + d]);
        h[n][d] = sigmoid(gate[2 * kUnits + d]) * std::tanh(c[n][d]);
      }
      output->insert(output->end(), h[n].begin(), h[n].end());
      return;
    }
    for (int d = 0; d < kUnits; ++d) h[n][d] = std::tanh(gate[d]);
    std::vector<double> o(blob(recurrent + 2), blob(recurrent + 2) + kUnits);
    add_product(blob(recurrent + 1), h[n], &o);
    for (const double value : o) output->push_back(std::tanh(value));
  }

  LayerFixture& fixture_;
  bool is_lstm_;
  bool has_static_;
};

void expect_values(const Blob& blob, const std::vector<double>& expected) {
  ASSERT_EQ(blob.count(), static_cast<int>(expected.size()));
  for (int i = 0; i < blob.count(); ++i) ASSERT_NEAR(blob.cpu_data()[i], expected[i], 2e-6) << i;
}

std::vector<double> flat(const std::vector<std::vector<double>>& rows) {
  std::vector<double> values;
  for (const auto& row : rows) values.insert(values.end(), row.begin(), row.end());
  return values;
}

std::vector<Shape> blob_shapes(LayerFixture* fixture) {
  std::vector<Shape> shapes;
  for (const auto& blob : fixture->layer().blobs()) shapes.push_back(blob->shape());
  return shapes;
}

std::string prototxt(const std::string& type, const std::string& more = "") {
  return "type: '" + type + "' recurrent_param { " FILLERS + more + " }";
}

class RecurrentTest : public ::testing::TestWithParam<std::string> {
 protected:
  bool is_lstm() const { return GetParam() == "LSTM"; }
  std::vector<Shape> bottoms(std::vector<Shape> shapes) const {
    if (is_lstm()) shapes.push_back(shapes.back());
    return shapes;
  }
};

TEST_P(RecurrentTest, EqualsThePlainLoopOverSeveralBatches) {
  LayerFixture fixture(prototxt(GetParam()), {{4, 2, 5}, {4, 2}});
  EXPECT_EQ(fixture.top().shape(), (Shape{4, 2, 3}));
  Reference reference(&fixture, is_lstm(), false);
  for (const auto& cont : {set_cont_to_one, set_cont_to_fractions, set_cont_to_one, set_cont}) {
    cont(&fixture);
    fill_gaussian(static_cast<std::uint64_t>(reference.h[0][0] * 1e6), &fixture.bottom());
    fixture.forward();
    expect_values(fixture.top(), reference.run());
  }
}

TEST_P(RecurrentTest, AStaticInputIsSeenByEveryStep) {
  LayerFixture fixture(prototxt(GetParam()), {{4, 2, 2, 2}, {4, 2}, {2, 3, 2}});
  set_cont(&fixture);
  fixture.forward();
  expect_values(fixture.top(), Reference(&fixture, is_lstm(), true).run());
}

TEST_P(RecurrentTest, TheFirstBatchStartsFromZeros) {
  LayerFixture going_on(prototxt(GetParam()), {{3, 2, 4}, {3, 2}});
  set_cont_to_one(&going_on);
  going_on.forward();
  LayerFixture beginning(prototxt(GetParam()), {{3, 2, 4}, {3, 2}});
  set_cont_to_one(&beginning);
  for (int n = 0; n < 2; ++n) beginning.bottom(1).mutable_cpu_data()[n] = 0;
  beginning.forward();
  for (int i = 0; i < 18; ++i)
    EXPECT_EQ(going_on.top().cpu_data()[i], beginning.top().cpu_data()[i]);
}

TEST_P(RecurrentTest, SaysThatAResumedRunLostItsState) {
  const auto logged = [&](int batch, const auto& cont) {
    LayerFixture fixture(prototxt(GetParam()), {{3, 2, 4}, {3, 2}});
    fixture.context().iteration = batch;
    cont(&fixture);
    ::testing::internal::CaptureStderr();
    fixture.forward();
    fixture.forward();
    return ::testing::internal::GetCapturedStderr();
  };
  const std::string log = logged(7, set_cont_to_one);
  const std::size_t first = log.find("starts from zeros at batch 7");
  EXPECT_NE(first, std::string::npos) << log;
  EXPECT_EQ(log.find("starts from zeros", first + 1), std::string::npos) << log;
  EXPECT_EQ(logged(0, set_cont_to_one), "");
  EXPECT_EQ(logged(7, set_cont), "");
}

TEST_P(RecurrentTest, ExposedStatesGoInAndOut) {
  const int states = is_lstm() ? 2 : 1;
  LayerFixture fixture(prototxt(GetParam(), "expose_hidden: true debug_info: true"),
                       bottoms({{4, 2, 5}, {4, 2}, {2, 6}, {1, 2, 3}}), 1 + states);
  set_cont_to_fractions(&fixture);
  Reference reference(&fixture, is_lstm(), true);
  for (int batch = 0; batch < 2; ++batch) {
    for (int n = 0; n < 2; ++n)
      for (int d = 0; d < 3; ++d) {
        reference.h[n][d] = fixture.bottom(3).cpu_data()[n * 3 + d];
        if (is_lstm()) reference.c[n][d] = fixture.bottom(4).cpu_data()[n * 3 + d];
      }
    fixture.forward();
    expect_values(fixture.top(), reference.run());
    EXPECT_EQ(fixture.top(1).shape(), (Shape{1, 2, 3}));
    expect_values(fixture.top(1), flat(reference.h));
    if (is_lstm()) expect_values(fixture.top(2), flat(reference.c));
  }
}

// As in Caffe: h and c after the last step are given out, and take no gradient in.
TEST_P(RecurrentTest, ExposedStatesHaveNoGradient) {
  const int states = is_lstm() ? 2 : 1;
  LayerFixture fixture(prototxt(GetParam(), "expose_hidden: true"),
                       bottoms({{2, 2, 5}, {2, 2}, {1, 2, 3}}), 1 + states);
  set_cont_to_one(&fixture);
  fixture.forward();
  fixture.backward();
  const std::vector<float> with(fixture.bottom().cpu_diff(), fixture.bottom().cpu_diff() + 20);
  EXPECT_FALSE(fixture.layer().has_gradient(1));
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(fixture.bottom(2).cpu_diff()[i], 0);
    fixture.top(1).mutable_cpu_diff()[i] = 1e6f;
  }
  fixture.layer().backward(
      {&fixture.top(), &fixture.top(1), &fixture.top(states)}, {true, false, false, false},
      {&fixture.bottom(), &fixture.bottom(1), &fixture.bottom(2), &fixture.bottom(1 + states)});
  EXPECT_EQ(std::vector<float>(fixture.bottom().cpu_diff(), fixture.bottom().cpu_diff() + 20),
            with);
}

TEST_P(RecurrentTest, OtherStreamsStartFromZerosAndOtherStepsAreRefused) {
  LayerFixture fixture(prototxt(GetParam()), {{2, 3, 4}, {2, 3}});
  set_cont_to_one(&fixture);
  fixture.forward();
  fixture.bottom().reshape({2, 1, 4});
  fixture.bottom(1).reshape({2, 1});
  Reference reference(&fixture, is_lstm(), false);
  fixture.forward();
  expect_values(fixture.top(), reference.run());
  fixture.bottom().reshape({3, 1, 4});
  fixture.bottom(1).reshape({3, 1});
  EXPECT_THAT(error_of([&] { fixture.forward(); }), HasSubstr("was made for 2 steps of 4 values"));
  fixture.bottom().reshape({2, 1, 5});
  EXPECT_THAT(error_of([&] { fixture.forward(); }), HasSubstr("x is 2x1x5 (10)"));
}

TEST_P(RecurrentTest, RefusesAStateOfAnotherSize) {
  const std::string error = error_of([&] {
    LayerFixture fixture(prototxt(GetParam(), "expose_hidden: true"),
                         bottoms({{2, 3, 4}, {2, 3}, {1, 3, 4}}), is_lstm() ? 3 : 2);
  });
  EXPECT_THAT(error, HasSubstr("bottom 2, a state, is 1x3x4 (12), and must be 1x3x3 (9)"));
}

TEST_P(RecurrentTest, NoStreamsAreNoTrouble) {
  LayerFixture fixture(prototxt(GetParam(), "debug_info: true"), {{2, 0, 4}, {2, 0}});
  fixture.forward();
  fixture.backward();
  EXPECT_EQ(fixture.top().shape(), (Shape{2, 0, 3}));
}

INSTANTIATE_TEST_SUITE_P(Types, RecurrentTest, ::testing::Values("LSTM", "RNN"),
                         [](const auto& info) { return info.param; });

TEST(LSTM, ParametersStandInCaffesOrder) {
  LayerFixture plain(prototxt("LSTM"), {{2, 2, 4, 5}, {2, 2}});
  EXPECT_THAT(blob_shapes(&plain), ElementsAre(Shape{12, 20}, Shape{12}, Shape{12, 3}));
  LayerFixture with_static(prototxt("LSTM"), {{2, 2, 5}, {2, 2}, {2, 7}});
  EXPECT_THAT(blob_shapes(&with_static),
              ElementsAre(Shape{12, 5}, Shape{12}, Shape{12, 7}, Shape{12, 3}));
}

TEST(RNN, ParametersStandInCaffesOrder) {
  LayerFixture plain(prototxt("RNN"), {{2, 2, 4, 5}, {2, 2}});
  EXPECT_THAT(blob_shapes(&plain),
              ElementsAre(Shape{3, 20}, Shape{3}, Shape{3, 3}, Shape{3, 3}, Shape{3}));
  LayerFixture with_static(prototxt("RNN"), {{2, 2, 5}, {2, 2}, {2, 7}});
  EXPECT_THAT(blob_shapes(&with_static),
              ElementsAre(Shape{3, 5}, Shape{3}, Shape{3, 7}, Shape{3, 3}, Shape{3, 3}, Shape{3}));
}

TEST(LSTM, CountsItsFlops) {
  LayerFixture lstm(prototxt("LSTM"), {{4, 2, 5}, {4, 2}, {2, 6}});
  EXPECT_EQ(lstm.layer().flops(), 2 * 12 * (8 * (5 + 3) + 2 * 6));
  LayerFixture rnn(prototxt("RNN"), {{4, 2, 5}, {4, 2}});
  EXPECT_EQ(rnn.layer().flops(), 2 * 3 * 8 * (5 + 3) + 2 * 8 * 3 * 3);
}

}  // namespace
}  // namespace vibnet
