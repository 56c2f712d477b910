#include "math/gemm.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <ostream>
#include <vector>

#include "support/drawn.h"

namespace vibnet {
namespace {

struct Case {
  int m, n, k;
  Transpose a, b;
};

/// Found by GoogleTest, which names the case so.
std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.m << "x" << c.n << " of " << c.k << (c.a == Transpose::YES ? ", A" : "")
             << (c.b == Transpose::YES ? ", B" : "");
}

class Gemm : public testing::TestWithParam<Case> {};

TEST_P(Gemm, EqualsTheSumOfProducts) {
  const auto [m, n, k, ta, tb] = GetParam();
  const std::vector<float> a = drawn(m * k, "a");
  const std::vector<float> b = with_room(drawn(k * n, "b"));
  const std::vector<float> before = drawn(m * n, "c");
  for (const bool adds : {false, true}) {
    std::vector<float> c = before;
    gemm(ta, tb, m, n, k, a.data(), b.data(), adds, c.data());
    for (int i = 0; i < m; ++i) {
      for (int j = 0; j < n; ++j) {
        double sum = adds ? before[i * n + j] : 0;
        for (int p = 0; p < k; ++p)
          sum += double{ta == Transpose::NO ? a[i * k + p] : a[p * m + i]} *
                 (tb == Transpose::NO ? b[p * n + j] : b[j * k + p]);
        ASSERT_NEAR(c[i * n + j], sum, 1e-3) << i << " " << j;
      }
    }
  }
}

TEST_P(Gemm, GivesTheSameBytesWithAnyNumberOfThreads) {
  const auto [m, n, k, ta, tb] = GetParam();
  const std::vector<float> a = drawn(m * k, "a");
  const std::vector<float> b = with_room(drawn(k * n, "b"));
  const int threads = omp_get_max_threads();
  std::vector<std::vector<float>> results;
  for (int t = 1; t <= 4; ++t) {
    omp_set_num_threads(t);
    results.emplace_back(m * n);
    gemm(ta, tb, m, n, k, a.data(), b.data(), false, results.back().data());
    EXPECT_EQ(omp_get_max_threads(), t);
    EXPECT_EQ(results.front(), results.back());
  }
  omp_set_num_threads(threads);
}

std::vector<Case> products() {
  std::vector<Case> all;
  const int sizes[][3] = {{1, 1, 1},      {3, 5, 7},      {64, 300, 90}, {1, 500, 800},
                          {131, 515, 33}, {300, 70, 129}, {20, 576, 25}, {2, 40, 1100},
                          {50, 3, 1030},  {4, 33, 520},   {5, 4, 0},     {200, 17, 1025},
                          {514, 600, 513}};
  for (const auto& [m, n, k] : sizes)
    for (const Transpose ta : {Transpose::NO, Transpose::YES})
      for (const Transpose tb : {Transpose::NO, Transpose::YES}) all.push_back({m, n, k, ta, tb});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Products, Gemm, testing::ValuesIn(products()));

}  // namespace
}  // namespace vibnet
