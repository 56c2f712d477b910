#pragma once

#include <vector>

namespace vibnet {

/// What a layer does to channels, the slices of axis 1 of its blobs: all that the compressor knows
/// of the layer. Each layer says it of itself, at its present shapes (Layer::channel_rule).
struct ChannelRule {
  enum class Role {
    WALL,  // not known: needs every channel of its bottoms, and makes every channel of its tops
    EACH,  // channel c of the top is made from channel c of each coupled bottom
    SUM,   // EACH, by adding them up: a bottom's zero channel may be left out of the sum
    MIX,   // the weights, blobs()[0], join the channels of a group to new ones
    MOVE,  // each channel of a top is one channel, or a part of one, of a bottom
    TOTAL  // Reduction's: all channels of the bottom are added up: zeros may be left out
  };
  /// Which constant channels of the bottoms come out constant (one value at all places).
  enum class Constants {
    NONE,
    ZERO,  // zeros, as zeros
    SAME,  // all; EACH and MOVE: as they came in
    ANY    // all: the values are what the layer makes of bottoms of one place
  };
  /// For which factors f(factor x) = factor f(x).
  enum class Homogeneous { NEVER, FOR_POSITIVE, ALWAYS };
  /// The order of the weights' axes. An InnerProduct's kernel is a channel's places.
  enum class Weights { OUTPUT_INPUT_KERNEL, INPUT_OUTPUT_KERNEL, INPUT_KERNEL_OUTPUT };
  struct Source {
    int bottom, channel;
  };

  Role role = Role::WALL;
  Constants constants = Constants::NONE;
  Homogeneous homogeneous = Homogeneous::NEVER;
  /// EACH: the first so many bottoms; of the others every channel is needed.
  int coupled = 1;
  /// EACH: a zero of one bottom makes a zero.
  bool is_product = false;
  /// EACH: so many of the first blobs() hold a slice for each channel along axis 0.
  int channel_blobs = 0;
  /// Whether training moves what a zero becomes: a learned shift, or running means.
  bool has_shift = false;
  /// TOTAL: divided by the number of channels, those left out among them.
  bool is_mean = false;
  /// MIX.
  int groups = 1;
  Weights weights = Weights::OUTPUT_INPUT_KERNEL;
  /// MIX: values of the weights for each pair of an input and an output channel.
  int kernel = 1;
  /// MOVE: for each top, where each of its channels comes from.
  std::vector<std::vector<Source>> sources;

  static ChannelRule wall() { return {}; }
  static ChannelRule total(bool is_mean) {
    ChannelRule rule;
    rule.role = Role::TOTAL;
    rule.is_mean = is_mean;
    return rule;
  }
  static ChannelRule each(Constants constants, Homogeneous homogeneous) {
    ChannelRule rule;
    rule.role = Role::EACH;
    rule.constants = constants;
    rule.homogeneous = homogeneous;
    return rule;
  }
  /// A formula for each value alone.
  static ChannelRule pointwise(Homogeneous homogeneous = Homogeneous::NEVER) {
    return each(Constants::ANY, homogeneous);
  }
  /// Whole channels in other places.
  static ChannelRule moved() {
    ChannelRule rule = each(Constants::SAME, Homogeneous::ALWAYS);
    rule.role = Role::MOVE;
    return rule;
  }
  /// Axes from 1 on joined: channel f of the top is a place of channel f / places.
  static ChannelRule flattened(int channels, int places) {
    ChannelRule rule = moved();
    rule.sources.emplace_back();
    for (int f = 0; f < channels * places; ++f) rule.sources[0].push_back({0, f / places});
    return rule;
  }
};

}  // namespace vibnet
