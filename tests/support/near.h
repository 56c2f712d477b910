#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "vibnet/blob.h"

namespace vibnet {

/// A blob's data or diff.
inline std::vector<float> values_of(const float* values, const Blob& blob) {
  return {values, values + blob.count()};
}

constexpr float kNear = 1e-5f;

/// To `tolerance` of the largest value, or of 1.
inline void expect_near(const std::vector<float>& expected, const std::vector<float>& found,
                        const std::string& what, float tolerance = kNear) {
  ASSERT_EQ(expected.size(), found.size()) << what;
  float largest = 1;
  for (const float value : expected) largest = std::max(largest, std::fabs(value));
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(expected[i], found[i], tolerance * largest) << what << ", value " << i;
}

}  // namespace vibnet
