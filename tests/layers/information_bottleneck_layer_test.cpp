#include "layers/information_bottleneck_layer.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <string>
#include <vector>

#include "support/error_of.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

const char* const kBottleneck = "name: 'ib' type: 'InformationBottleneck'";

InformationBottleneckLayer& bottleneck(LayerFixture* fixture) {
  return dynamic_cast<InformationBottleneckLayer&>(fixture->layer());
}

std::vector<float> top_of(LayerFixture* fixture) {
  fixture->forward();
  return {fixture->top().cpu_data(), fixture->top().cpu_data() + fixture->top().count()};
}

TEST(InformationBottleneck, StartsNearTheIdentity) {
  LayerFixture fixture(kBottleneck, {{2, 500}});
  double mu = 0;
  double log_sigma2 = 0;
  for (int c = 0; c < 500; ++c) {
    mu += fixture.layer().blobs()[0]->cpu_data()[c] / 500;
    log_sigma2 += fixture.layer().blobs()[1]->cpu_data()[c] / 500;
  }
  EXPECT_NEAR(mu, 1, 0.003);
  EXPECT_NEAR(log_sigma2, -9, 0.003);
  EXPECT_EQ(fixture.layer().default_decay_mult(0), 0);
}

TEST(InformationBottleneck, NoiseHasTheMomentsOfMuAndSigma) {
  LayerFixture fixture(kBottleneck, {{20000, 3, 2}});
  fixture.bottom().set_data(2);
  const float mu[] = {0.5f, -1, 2};
  const float sigma[] = {0.1f, 1, 0.5f};
  for (int c = 0; c < 3; ++c) {
    fixture.layer().blobs()[0]->mutable_cpu_data()[c] = mu[c];
    fixture.layer().blobs()[1]->mutable_cpu_data()[c] = 2 * std::log(sigma[c]);
  }
  const std::vector<float> y = top_of(&fixture);
  for (int c = 0; c < 3; ++c) {
    double mean = 0;
    double square = 0;
    for (int n = 0; n < 20000; ++n) {
      EXPECT_EQ(y[n * 6 + c * 2], y[n * 6 + c * 2 + 1]);  // one draw for all positions
      mean += y[n * 6 + c * 2] / 2 / 20000;
      square += y[n * 6 + c * 2] * y[n * 6 + c * 2] / 4 / 20000;
    }
    EXPECT_NEAR(mean, mu[c], 0.03 * sigma[c]);
    EXPECT_NEAR(std::sqrt(square - mean * mean), sigma[c], 0.02 * sigma[c]);
  }
}

TEST(InformationBottleneck, NoiseIsAFunctionOfSeedLayerIterationAndSample) {
  const std::vector<Shape> shape = {{6, 5}};
  LayerFixture first(kBottleneck, shape);
  const std::vector<float> y = top_of(&first);
  EXPECT_EQ(y, top_of(&first));
  first.context().iteration = 4;
  EXPECT_NE(y, top_of(&first));
  LayerFixture other_name("name: 'other' type: 'InformationBottleneck'", shape);
  other_name.layer().blobs()[0]->share_data(*first.layer().blobs()[0]);
  other_name.layer().blobs()[1]->share_data(*first.layer().blobs()[1]);
  EXPECT_NE(y, top_of(&other_name));

  // Two passes of three samples draw what one of six draws.
  LayerFixture half(kBottleneck, {{3, 5}});
  std::vector<float> joined;
  for (int pass = 0; pass < 2; ++pass) {
    half.context().pass = pass;
    LayerFixture whole(kBottleneck, shape);
    std::copy_n(whole.bottom().cpu_data() + pass * 15, 15, half.bottom().mutable_cpu_data());
    const std::vector<float> part = top_of(&half);
    joined.insert(joined.end(), part.begin(), part.end());
  }
  EXPECT_EQ(joined, y);
}

TEST(InformationBottleneck, GivesTheSameBytesWithAnyNumberOfThreads) {
  const int threads = omp_get_max_threads();
  std::vector<float> y[3];
  std::vector<float> gradient[3];
  for (int t = 0; t < 3; ++t) {
    omp_set_num_threads(t + 1);
    LayerFixture fixture(kBottleneck, {{33, 17, 9, 8}});
    y[t] = top_of(&fixture);
    fixture.backward();
    for (const auto& blob : fixture.layer().blobs())
      gradient[t].insert(gradient[t].end(), blob->cpu_diff(), blob->cpu_diff() + blob->count());
  }
  omp_set_num_threads(threads);
  EXPECT_EQ(y[0], y[1]);
  EXPECT_EQ(y[0], y[2]);
  EXPECT_EQ(gradient[0], gradient[1]);
  EXPECT_EQ(gradient[0], gradient[2]);
}

TEST(InformationBottleneck, KlIsTheClosedForm) {
  LayerFixture fixture(std::string(kBottleneck) + " information_bottleneck_param { gamma: 0.5 }",
                       {{2, 3, 4, 5}});
  double expected = 0;
  for (int c = 0; c < 3; ++c) {
    const double mu = 0.3 * (c + 1);
    const double log_sigma2 = c - 1.0;
    fixture.layer().blobs()[0]->mutable_cpu_data()[c] = static_cast<float>(mu);
    fixture.layer().blobs()[1]->mutable_cpu_data()[c] = static_cast<float>(log_sigma2);
    expected += 0.5 * std::log(1 + mu * mu / std::exp(log_sigma2));
  }
  EXPECT_NEAR(bottleneck(&fixture).kl(), expected * 20, 1e-4);
  fixture.context().kl_weight = 0.1f;
  EXPECT_NEAR(fixture.layer().penalty(), 0.05 * expected * 20, 1e-5);
}

TEST(InformationBottleneck, StaysFiniteAtTheLimits) {
  const float extremes[] = {0.0f, -0.0f, 1e-30f, 1.0f, 1e18f};
  for (const float mu : extremes) {
    for (const float log_sigma2 : {-200.0f, -90.0f, 0.0f, 200.0f, 800.0f}) {
      LayerFixture fixture(kBottleneck, {{2, 1}}, 1, [] {
        Context context = training_context();
        context.kl_weight = 1;
        return context;
      }());
      fixture.layer().blobs()[0]->set_data(mu);
      fixture.layer().blobs()[1]->set_data(log_sigma2);
      EXPECT_TRUE(std::isfinite(fixture.layer().penalty())) << mu << " " << log_sigma2;
      if (log_sigma2 > 170) continue;  // sigma itself leaves float32: the noise cannot be finite
      fixture.forward();
      fixture.backward();
      EXPECT_TRUE(std::isfinite(fixture.layer().blobs()[0]->cpu_diff()[0]))
          << mu << " " << log_sigma2;
      EXPECT_TRUE(std::isfinite(fixture.layer().blobs()[1]->cpu_diff()[0]))
          << mu << " " << log_sigma2;
    }
  }
}

TEST(InformationBottleneck, MasksAtTheThresholdInTest) {
  Context context;
  context.phase = TEST;
  LayerFixture fixture(std::string(kBottleneck) + " information_bottleneck_param { threshold: -1 }",
                       {{1, 4}}, 1, context);
  fixture.bottom().set_data(3);
  const float mu[] = {2, 2, 2, 0};
  const float margin[] = {-1.5f, -0.5f, 5, -1.5f};  // log sigma^2 - log mu^2
  for (int c = 0; c < 4; ++c) {
    fixture.layer().blobs()[0]->mutable_cpu_data()[c] = mu[c];
    fixture.layer().blobs()[1]->mutable_cpu_data()[c] = margin[c] + 2 * std::log(2.0f);
  }
  EXPECT_EQ(top_of(&fixture), (std::vector<float>{6, 0, 0, 0}));
  EXPECT_EQ(bottleneck(&fixture).kept(), (std::vector<bool>{true, false, false, false}));
}

TEST(InformationBottleneck, FollowsItsParametersInTest) {
  Context context = training_context();
  context.phase = TEST;
  LayerFixture fixture(kBottleneck, {{1, 3}}, 1, context);
  fixture.bottom().set_data(1);
  Blob& mu = *fixture.layer().blobs()[0];
  Blob& log_sigma2 = *fixture.layer().blobs()[1];
  for (const float value : {2.0f, -3.0f}) {
    mu.set_data(value);
    EXPECT_EQ(top_of(&fixture), std::vector<float>(3, value));
    EXPECT_EQ(top_of(&fixture), std::vector<float>(3, value));
  }
  log_sigma2.mutable_cpu_data()[0] = 9;  // masked
  EXPECT_EQ(top_of(&fixture), (std::vector<float>{0, -3, -3}));
  bottleneck(&fixture).freeze({false, true, false});
  EXPECT_EQ(top_of(&fixture), (std::vector<float>{0, 0, -3}));
}

TEST(InformationBottleneck, RefusesWhatItCannotWorkOn) {
  EXPECT_NE(error_of([] { LayerFixture(kBottleneck, {{5}}); }).find("at least 2 axes"),
            std::string::npos);
}

}  // namespace
}  // namespace vibnet
