#include "math/gemm.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <vector>

#include "support/drawn.h"

namespace vibnet {
namespace {

struct Sizes {
  int m, n, k;
};

class Gemm : public testing::TestWithParam<Sizes> {};

TEST_P(Gemm, EqualsTheSumOfProducts) {
  const auto [m, n, k] = GetParam();
  const std::vector<float> a = drawn(m * k, "a");
  const std::vector<float> b = drawn(k * n, "b");
  const std::vector<float> before = drawn(m * n, "c");
  for (const Transpose ta : {Transpose::NO, Transpose::YES}) {
    for (const Transpose tb : {Transpose::NO, Transpose::YES}) {
      std::vector<float> c = before;
      gemm(ta, tb, m, n, k, 0.5f, a.data(), b.data(), 2, c.data());
      for (int i = 0; i < m; ++i) {
        for (int j = 0; j < n; ++j) {
          double sum = 0;
          for (int p = 0; p < k; ++p)
            sum += double{ta == Transpose::NO ? a[i * k + p] : a[p * m + i]} *
                   (tb == Transpose::NO ? b[p * n + j] : b[j * k + p]);
          ASSERT_NEAR(c[i * n + j], 0.5 * sum + 2 * before[i * n + j], 1e-3) << i << " " << j;
        }
      }
    }
  }
}

TEST_P(Gemm, GivesTheSameBytesWithAnyNumberOfThreads) {
  const auto [m, n, k] = GetParam();
  const std::vector<float> a = drawn(m * k, "a");
  const std::vector<float> b = drawn(k * n, "b");
  const int threads = omp_get_max_threads();
  std::vector<std::vector<float>> results;
  for (int t = 1; t <= 4; ++t) {
    omp_set_num_threads(t);
    results.emplace_back(m * n);
    gemm(Transpose::NO, Transpose::NO, m, n, k, 1, a.data(), b.data(), 0, results.back().data());
    EXPECT_EQ(omp_get_max_threads(), t);
    EXPECT_EQ(results.front(), results.back());
  }
  omp_set_num_threads(threads);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Gemm,
                         testing::Values(Sizes{1, 1, 1}, Sizes{3, 5, 7}, Sizes{64, 300, 90},
                                         Sizes{1, 500, 800}, Sizes{131, 515, 33},
                                         Sizes{300, 70, 129}, Sizes{20, 576, 25}));

}  // namespace
}  // namespace vibnet
