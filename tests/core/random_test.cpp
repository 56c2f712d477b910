#include "vibnet/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "simd/kernels.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

/// The known answers that Random123 ships for philox4x32 with 10 rounds.
TEST(Random, IsPhilox) {
  const RandomBits4 zeros = random_bits4({0}, 0, 0, 0);
  EXPECT_EQ(zeros[0], 0x6627e8d5u);
  EXPECT_EQ(zeros[1], 0xe169c58du);
  EXPECT_EQ(zeros[2], 0xbc57ac4cu);
  EXPECT_EQ(zeros[3], 0x9b00dbd8u);
  const RandomBits4 ones = random_bits4({~0ull}, ~0ull, ~0u, ~0u);
  EXPECT_EQ(ones[0], 0x408f276du);
  EXPECT_EQ(ones[1], 0x41c83b0eu);
  EXPECT_EQ(ones[2], 0xa20bc7c6u);
  EXPECT_EQ(ones[3], 0x6d5451fdu);
}

TEST(Random, UniformStaysInsideItsInterval) {
  EXPECT_GT(to_uniform(0), 0);
  EXPECT_LT(to_uniform(~0u), 1);
}

TEST(Random, NormalHasMeanZeroAndVarianceOne) {
  const RandomKey key = random_key(1, "test");
  constexpr int kBlocks = 50000;
  double sum = 0;
  double squares = 0;
  double cubes = 0;
  for (std::uint32_t block = 0; block < kBlocks; ++block) {
    for (const float value : normal4(key, 0, 0, block).values) {
      sum += value;
      squares += value * value;
      cubes += value * value * value;
    }
  }
  constexpr double kCount = 4.0 * kBlocks;
  EXPECT_NEAR(sum / kCount, 0, 0.01);
  EXPECT_NEAR(squares / kCount, 1, 0.01);
  EXPECT_NEAR(cubes / kCount, 0, 0.03);
}

TEST(Random, KernelsDrawTheSameNormals) {
  const RandomKey key = random_key(1, "test");
  constexpr std::uint64_t kIteration = 7'000'000'000;
  std::vector<std::uint32_t> blocks;
  for (std::uint32_t i = 0; i < 100'003; ++i) blocks.push_back(3 * i);
  for (const char* name : {"baseline", "avx2", "avx512"}) {
    const Kernels* kernels = nullptr;
    try {
      kernels = &kernels_for(name);
    } catch (const Error&) {
      continue;  // not of this processor
    }
    std::vector<float> values(4 * blocks.size());
    kernels->normals(key.value, kIteration, 9, blocks.data(), static_cast<int>(blocks.size()),
                     values.data());
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const Random4 expected = normal4(key, kIteration, 9, blocks[i]);
      for (int j = 0; j < 4; ++j)
        ASSERT_NEAR(values[4 * i + j], expected.values[j], 3e-6) << name << ", block " << blocks[i];
    }
  }
}

/// So that a cut net, which draws fewer blocks, goes on with the noise of the whole one.
TEST(Random, ABlocksNormalsDoNotDependOnTheOthers) {
  std::vector<std::uint32_t> blocks(301);
  for (std::uint32_t i = 0; i < 301; ++i) blocks[i] = i;
  std::vector<float> all(4 * blocks.size());
  kernels().normals(5, 6, 7, blocks.data(), 301, all.data());
  for (const std::uint32_t block : blocks) {
    float alone[4];
    kernels().normals(5, 6, 7, &block, 1, alone);
    for (int j = 0; j < 4; ++j) ASSERT_EQ(alone[j], all[4 * block + j]) << "block " << block;
  }
}

TEST(Random, KeysDifferBySeedAndName) {
  EXPECT_NE(random_key(1, "a").value, random_key(2, "a").value);
  EXPECT_NE(random_key(1, "a").value, random_key(1, "b").value);
  EXPECT_EQ(random_key(1, "a").value, random_key(1, "a").value);
}

TEST(Random, BelowReachesAllAndNoMore) {
  RandomSequence random(random_key(3, "below"));
  int seen[7] = {};
  for (int i = 0; i < 7000; ++i) ++seen[random.below(7)];
  for (const int count : seen) EXPECT_NEAR(count, 1000, 150);
}

}  // namespace
}  // namespace vibnet
