#pragma once

#include <Random123/philox.h>

#include <cmath>
#include <cstdint>
#include <string_view>

#include "vibnet/host_device.h"

namespace vibnet {

/// Random numbers that are a function of where they are used and of nothing else: seed and layer
/// make the key, iteration, sample and block the counter (Philox4x32-10, Salmon et al. 2011). Both
/// devices, any number of threads and a resumed run draw the same ones (normals to 1e-6, over
/// devices and instruction sets), and none need be stored.
struct RandomKey {
  std::uint64_t value = 0;
};

/// The key of one layer, or of any user of random numbers with a name of its own.
inline RandomKey random_key(std::uint64_t seed, std::string_view user) {
  std::uint64_t hash = 0xcbf29ce484222325u ^ seed;  // FNV-1a over the name
  for (const char c : user) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9u;  // the finaliser of SplitMix64
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebu;
  return {hash ^ (hash >> 31)};
}

struct Random4 {
  float values[4];
};

using RandomBits4 = r123::Philox4x32::ctr_type;

VIBNET_HOST_DEVICE inline RandomBits4 random_bits4(RandomKey key, std::uint64_t iteration,
                                                   std::uint32_t sample, std::uint32_t block) {
  const RandomBits4 counter = {{block, sample, static_cast<std::uint32_t>(iteration),
                                static_cast<std::uint32_t>(iteration >> 32)}};
  const r123::Philox4x32::key_type philox_key = {
      {static_cast<std::uint32_t>(key.value), static_cast<std::uint32_t>(key.value >> 32)}};
  return r123::Philox4x32{}(counter, philox_key);
}

/// Never 0 and never 1.
VIBNET_HOST_DEVICE inline float to_uniform(std::uint32_t bits) {
  return (static_cast<float>(bits >> 9) + 0.5f) * (1.0f / 8388608.0f);
}

/// Four draws from U(0, 1).
VIBNET_HOST_DEVICE inline Random4 uniform4(RandomKey key, std::uint64_t iteration,
                                           std::uint32_t sample, std::uint32_t block) {
  const RandomBits4 bits = random_bits4(key, iteration, sample, block);
  return {{to_uniform(bits[0]), to_uniform(bits[1]), to_uniform(bits[2]), to_uniform(bits[3])}};
}

/// Four draws from N(0, 1), by Box and Muller's transform.
VIBNET_HOST_DEVICE inline Random4 normal4(RandomKey key, std::uint64_t iteration,
                                          std::uint32_t sample, std::uint32_t block) {
  constexpr float kTwoPi = 6.283185307179586f;
  const Random4 u = uniform4(key, iteration, sample, block);
  const float radius0 = sqrtf(-2 * logf(u.values[0]));
  const float radius1 = sqrtf(-2 * logf(u.values[1]));
  return {{radius0 * cosf(kTwoPi * u.values[2]), radius0 * sinf(kTwoPi * u.values[2]),
           radius1 * cosf(kTwoPi * u.values[3]), radius1 * sinf(kTwoPi * u.values[3])}};
}

/// The draws one after another, for code that wants a sequence.
class RandomSequence {
 public:
  explicit RandomSequence(RandomKey key, std::uint64_t iteration = 0, std::uint32_t sample = 0)
      : key_(key), iteration_(iteration), sample_(sample) {}

  std::uint32_t bits() {
    if (used_ == 4) {
      current_ = random_bits4(key_, iteration_, sample_, block_++);
      used_ = 0;
    }
    return current_[used_++];
  }
  float uniform() { return to_uniform(bits()); }
  /// From N(0, 1).
  float normal() {
    const float radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(6.283185307179586f * uniform());
  }
  /// From 0 .. bound - 1, each as likely to within 2^-32 * bound.
  std::uint32_t below(std::uint32_t bound) {
    return static_cast<std::uint32_t>((std::uint64_t{bits()} * bound) >> 32);
  }

 private:
  RandomKey key_;
  std::uint64_t iteration_;
  std::uint32_t sample_;
  std::uint32_t block_ = 0;
  RandomBits4 current_{};
  unsigned used_ = 4;
};

}  // namespace vibnet
