#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "simd/kernels.h"
#include "support/drawn.h"
#include "support/near.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

using Values = std::vector<float>;

/// What `gate` and `gate_gradient` are to give, value by value.
struct Expected {
  Values y, dx, sums;
};

Expected expected_of(const GatedPlanes& gated, const Values& x, const Values& dy) {
  Expected expected{x, dy, Values(static_cast<std::size_t>(gated.planes))};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t plane = i / static_cast<std::size_t>(gated.values);
    const float slope = x[i] > 0 ? 1 : gated.slope;
    expected.y[i] = x[i] * slope * gated.factors[plane];
    expected.dx[i] = dy[i] * slope * gated.factors[plane];
    expected.sums[plane] += x[i] * slope * dy[i];
  }
  return expected;
}

class Gates : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    try {
      kernels_ = &kernels_for(GetParam());
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }

  const Kernels* kernels_ = nullptr;
};

TEST_P(Gates, GiveWhatTheirDefinitionSays) {
  for (const int planes : {1, 5, 37})
    for (const int values : {1, 3, 16, 49, 64, 300})
      for (const float slope : {0.0f, 0.25f, 1.0f}) {
        const std::string what = "planes " + std::to_string(planes) + " of " +
                                 std::to_string(values) + ", slope " + std::to_string(slope);
        const std::size_t count = static_cast<std::size_t>(planes) * values;
        Values factors = drawn(static_cast<std::size_t>(planes), "factors");
        for (float& factor : factors) factor += factor < 0 ? -0.5f : 0.5f;
        const Values x = drawn(count, "x");
        const Values dy = drawn(count, "dy");
        const GatedPlanes gated{planes, values, factors.data(), slope};
        const Expected expected = expected_of(gated, x, dy);

        Values y = x;
        kernels_->gate(gated, y.data(), y.data());
        expect_near(expected.y, y, what);

        Values sums(factors.size(), 7.0f);
        Values dx = dy;
        kernels_->gate_gradient(gated, x.data(), y.data(), dx.data(), dx.data(), sums.data());
        expect_near(expected.dx, dx, "from x, " + what);
        expect_near(expected.sums, sums, "from x, " + what);

        sums.assign(factors.size(), 7.0f);
        dx.assign(dy.size(), 7.0f);
        kernels_->gate_gradient(gated, nullptr, y.data(), dy.data(), dx.data(), sums.data());
        expect_near(expected.dx, dx, "from y, " + what);
        expect_near(expected.sums, sums, "from y, " + what);
      }
}

/// A unit that is shut, or as good as shut.
TEST_P(Gates, OfNothingLetNothingThrough) {
  for (const int values : {1, 33})
    for (const float factor : {0.0f, -0.0f, std::numeric_limits<float>::denorm_min()}) {
      const GatedPlanes gated{1, values, &factor, 0};
      const Values dy(static_cast<std::size_t>(values), 1e30f);
      Values y(dy.size(), 1e30f);
      kernels_->gate(gated, y.data(), y.data());
      Values dx(dy.size());
      float sum = 7;
      kernels_->gate_gradient(gated, nullptr, y.data(), dy.data(), dx.data(), &sum);
      EXPECT_EQ(sum, 0);
      for (const float value : dx) EXPECT_LT(std::fabs(value), 1e-6f);
    }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, Gates, testing::Values("baseline", "avx2", "avx512"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace vibnet
