#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "support/error_of.h"
#include "support/layer_fixture.h"

namespace vibnet {
namespace {

Context testing_context() {
  Context context = training_context();
  context.phase = TEST;
  return context;
}

double mean_of_channel(const Blob& blob, int channel) {
  const int spatial = blob.count(2);
  double sum = 0;
  for (int n = 0; n < blob.shape(0); ++n)
    for (int s = 0; s < spatial; ++s)
      sum += blob.cpu_data()[(n * blob.shape(1) + channel) * spatial + s];
  return sum / (blob.shape(0) * spatial);
}

TEST(BatchNorm, RunningSumsAreCaffes) {
  LayerFixture fixture("type: 'BatchNorm' batch_norm_param { moving_average_fraction: 0.5 }",
                       {{4, 2, 3, 3}});
  fixture.forward();
  const auto& blobs = fixture.layer().blobs();
  const double mean = mean_of_channel(fixture.bottom(), 1);
  EXPECT_FLOAT_EQ(blobs[2]->cpu_data()[0], 1);
  EXPECT_NEAR(blobs[0]->cpu_data()[1], mean, 1e-6);
  fixture.forward();
  EXPECT_FLOAT_EQ(blobs[2]->cpu_data()[0], 1.5f);
  EXPECT_NEAR(blobs[0]->cpu_data()[1], 1.5 * mean, 1e-6);
}

TEST(BatchNorm, TestDividesTheSumsByTheFactor) {
  LayerFixture fixture("type: 'BatchNorm' batch_norm_param { eps: 0 }", {{1, 1, 1, 2}}, 1,
                       testing_context());
  const auto& blobs = fixture.layer().blobs();
  blobs[0]->set_data(6);
  blobs[1]->set_data(8);
  blobs[2]->set_data(2);
  fixture.bottom().set_data(7);
  fixture.forward();
  EXPECT_FLOAT_EQ(fixture.top().cpu_data()[0], (7 - 3) / std::sqrt(4.0f));
}

TEST(BatchNorm, GlobalStatsInTrainHaveAGradientOfTheirOwn) {
  LayerFixture fixture("type: 'BatchNorm' batch_norm_param { use_global_stats: true }",
                       {{3, 2, 2, 2}});
  fixture.layer().blobs()[1]->set_data(2);
  fixture.layer().blobs()[2]->set_data(1);
  check_gradients(&fixture);
  EXPECT_FLOAT_EQ(fixture.layer().blobs()[2]->cpu_data()[0], 1) << "the sums stay as they are";
}

}  // namespace
}  // namespace vibnet
