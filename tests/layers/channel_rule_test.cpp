#include "vibnet/channel_rule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>
#include <vector>

#include "support/layer_fixture.h"

namespace vibnet {
namespace {

using Role = ChannelRule::Role;
using Constants = ChannelRule::Constants;
using Homogeneous = ChannelRule::Homogeneous;

/// A layer whose rule is tried out: type, parameter, bottoms.
struct RuleCase {
  const char* type;
  const char* parameter = "";
  std::vector<Shape> bottoms = {{2, 6, 5, 5}};
  int tops = 1;
};

std::ostream& operator<<(std::ostream& out, const RuleCase& one) {
  return out << one.type << " " << one.parameter << " of " << one.bottoms.size() << " bottoms";
}

const Shape kMap = {2, 6, 5, 5};
const Shape kVector = {2, 6};

const RuleCase kCases[] = {
    {"AbsVal"},
    {"Axpy", "", {kVector, kMap, kMap}},
    {"BNLL"},
    {"BatchNorm"},
    {"BatchNorm", "", {kVector}},
    {"BatchNorm", "batch_norm_param { use_global_stats: false }"},
    {"Bias"},
    {"Bias", "bias_param { num_axes: 0 }"},
    {"Bias", "bias_param { num_axes: -1 }"},
    {"Bias", "bias_param { axis: 2 }"},
    {"Bias", "bias_param { axis: 0 }", {kMap, kMap}},
    {"Clip", "clip_param { min: 0.5 max: 2 }"},
    {"Concat", "", {kMap, {2, 3, 5, 5}}},
    {"Concat", "concat_param { axis: 2 }", {kMap, kMap}},
    {"Convolution", "convolution_param { num_output: 4 kernel_size: 3 }"},
    {"Convolution", "convolution_param { num_output: 4 kernel_size: 3 pad: 1 group: 2 }"},
    {"Convolution", "convolution_param { num_output: 6 kernel_size: 3 group: 6 }"},
    {"Convolution",
     "convolution_param { num_output: 12 kernel_size: 3 group: 6 bias_term: false }"},
    {"Convolution", "convolution_param { num_output: 4 kernel_size: 5 dilation: 2 pad: 2 }"},
    {"Convolution", "convolution_param { num_output: 4 kernel_size: 1 }", {{2, 6, 7}}},
    {"Crop", "", {kMap, {2, 6, 3, 4}}},
    {"Crop", "crop_param { axis: 1 }", {kMap, {2, 4, 3, 4}}},
    {"Crop", "crop_param { axis: -1 }", {kMap, {2, 3, 4, 2}}},
    {"Deconvolution", "convolution_param { num_output: 4 kernel_size: 2 stride: 2 group: 2 }"},
    {"DepthwiseConvolution", "convolution_param { num_output: 12 kernel_size: 3 pad: 1 }"},
    {"Dropout"},
    {"ELU"},
    {"Eltwise", "", {kMap, kMap}},
    {"Eltwise", "eltwise_param { coeff: 1 coeff: -0.5 }", {kMap, kMap}},
    {"Eltwise", "eltwise_param { coeff: 1 coeff: 1 coeff: 1 }", {kMap, kMap, kMap}},
    {"Eltwise", "eltwise_param { operation: PROD }", {kMap, kMap}},
    {"Eltwise", "eltwise_param { operation: MAX }", {kMap, kMap}},
    {"Exp"},
    {"Flatten"},
    {"Flatten", "flatten_param { axis: 0 end_axis: 1 }"},
    {"Flatten", "flatten_param { axis: 1 end_axis: 2 }"},
    {"Flatten", "flatten_param { axis: 2 }"},
    {"HardSwish"},
    {"Im2col", "convolution_param { kernel_size: 2 }"},
    {"InformationBottleneck"},
    {"InnerProduct", "inner_product_param { num_output: 4 }"},
    {"InnerProduct", "inner_product_param { num_output: 4 transpose: true }"},
    {"InnerProduct", "inner_product_param { num_output: 4 bias_term: false }", {kVector}},
    {"InnerProduct", "inner_product_param { num_output: 4 axis: 2 }"},
    {"InnerProduct", "inner_product_param { num_output: 4 axis: 0 }"},
    {"Interp", "interp_param { height: 7 width: 3 }"},
    {"Interp", "interp_param { zoom_factor: 2 pad_beg: -1 }"},
    {"LRN", "lrn_param { local_size: 3 alpha: 0.5 }"},
    {"LRN", "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }"},
    {"MVN"},
    {"MVN", "mvn_param { across_channels: true }"},
    {"MVN", "", {kVector}},
    {"PReLU"},
    {"PReLU", "prelu_param { channel_shared: true }"},
    {"Permute", "permute_param { order: 0 order: 2 order: 1 }"},
    {"Pooling", "pooling_param { kernel_size: 3 stride: 2 pad: 1 }"},
    {"Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 }"},
    {"Pooling", "pooling_param { pool: AVE kernel_size: 2 stride: 2 }"},
    {"Pooling", "pooling_param { pool: AVE kernel_size: 3 pad: 1 }"},
    {"Pooling", "pooling_param { pool: AVE global_pooling: true }"},
    {"Pooling", "pooling_param { kernel_size: 3 }", {kMap}, 2},
    {"Power", "power_param { power: 2 scale: 0.5 shift: 1 }"},
    {"ReLU"},
    {"ReLU", "relu_param { negative_slope: 0.1 }"},
    {"ReLU6"},
    {"Reduction"},
    {"Reduction", "reduction_param { axis: 1 operation: ASUM coeff: 0.5 }"},
    {"Reduction", "reduction_param { axis: 1 operation: SUMSQ }", {kVector}},
    {"Reduction", "reduction_param { axis: 1 operation: MEAN }"},
    {"Reduction", "reduction_param { axis: 2 }"},
    {"Reduction", "reduction_param { axis: 2 operation: MEAN coeff: 0.5 }"},
    {"Reduction", "reduction_param { axis: 3 operation: ASUM }"},
    {"Reduction", "reduction_param { axis: 2 operation: SUMSQ }"},
    {"Reshape", "reshape_param { shape { dim: 0 dim: -1 } }"},
    {"Reshape", "reshape_param { shape { dim: 0 dim: 0 dim: -1 } }"},
    {"Reshape", "reshape_param { shape { dim: 0 dim: 3 dim: 2 dim: -1 } }"},
    {"Reshape", "reshape_param { shape { dim: 1 dim: 12 dim: 5 dim: 5 } }"},
    {"Reshape", "reshape_param { shape { dim: 2 dim: 6 dim: 25 dim: 1 } }"},
    {"Reshape", "reshape_param { axis: 1 num_axes: 0 shape { dim: 1 } }"},
    {"Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 1 dim: 1 } }", {kVector}},
    {"Scale"},
    {"Scale", "scale_param { bias_term: true }"},
    {"Scale", "scale_param { num_axes: 0 bias_term: true }"},
    {"Scale", "scale_param { num_axes: 3 }"},
    {"Scale", "scale_param { num_axes: 2 bias_term: true }"},
    {"Scale", "scale_param { axis: 2 }"},
    {"Scale", "scale_param { axis: 0 num_axes: 2 }"},
    {"Scale", "scale_param { axis: 0 }", {kMap, kVector}},
    {"Scale", "scale_param { axis: 0 }", {kMap, kMap}},
    {"Scale", "scale_param { axis: 0 bias_term: true }", {kMap, kVector}},
    {"Scale", "scale_param { axis: 1 }", {kMap, {6}}},
    {"ShuffleChannel", "shuffle_channel_param { group: 3 }"},
    {"Sigmoid"},
    {"Slice", "slice_param { slice_point: 1 slice_point: 4 }", {kMap}, 3},
    {"Slice", "slice_param { axis: 2 slice_point: 1 }", {kMap}, 2},
    {"Softmax"},
    {"Softmax", "softmax_param { axis: 2 }"},
    {"Split", "", {kMap}, 2},
    {"SPP", "spp_param { pyramid_height: 2 }"},
    {"SPP", "spp_param { pyramid_height: 1 }"},
    {"Swish"},
    {"TanH"},
    {"Threshold"},
    {"Tile", "tile_param { tiles: 2 }"},
    {"Tile", "tile_param { axis: 2 tiles: 2 }"},
};

using Values = std::vector<float>;

/// The values of a top's channel, both samples.
Values channel_of(const Blob& top, const Values& values, int channel) {
  Values found;
  for (int i = 0; i < top.count(); ++i)
    if (i / top.count(2) % top.shape(1) == channel) found.push_back(values[i]);
  return found;
}

class ChannelRules : public testing::TestWithParam<RuleCase> {
 protected:
  ChannelRules()
      : fixture_(std::string("name: 'it' type: '") + GetParam().type + "' " + GetParam().parameter,
                 GetParam().bottoms, GetParam().tops, test_context()) {
    std::uint64_t key = 21;
    for (const auto& blob : fixture_.layer().blobs()) fill_gaussian(key++, blob.get());
    if (fixture_.layer().type() != std::string("BatchNorm")) return;
    for (int c = 0; c < 6; ++c) fixture_.layer().blobs()[1]->mutable_cpu_data()[c] = 1.0F + c;
    fixture_.layer().blobs()[2]->set_data(1);
  }

  static Context test_context() {
    Context context = training_context();
    context.phase = TEST;
    return context;
  }

  void SetUp() override {
    for (int b = 0; b < fixture_.bottoms(); ++b) bottoms_.push_back(&fixture_.bottom(b));
    for (int t = 0; t < fixture_.tops(); ++t) tops_.push_back(&fixture_.top(t));
    rule_ = fixture_.layer().channel_rule(bottoms_, tops_);
  }

  bool is_wall() const { return rule_.role == Role::WALL; }
  int coupled() const {
    return rule_.role == Role::EACH || rule_.role == Role::SUM ? rule_.coupled : fixture_.bottoms();
  }

  std::vector<Values> tops() {
    fixture_.forward();
    std::vector<Values> all;
    for (Blob* top : tops_) all.emplace_back(top->cpu_data(), top->cpu_data() + top->count());
    return all;
  }

  /// change(value, index) for all values of a channel.
  template <typename Change>
  static void for_channel(Blob* blob, int channel, const Change& change) {
    const int inner = blob->count(2);
    for (int i = 0; i < blob->count(); ++i)
      if (i / inner % blob->shape(1) == channel) change(blob->mutable_cpu_data()[i]);
  }

  /// What a rule that is no wall says: whether top t's channel is made from bottom b's channel.
  bool is_made_from(int t, int made, int b, int channel) const {
    if (rule_.role == Role::MOVE) {
      const ChannelRule::Source& source = rule_.sources[t][made];
      return source.bottom == b && source.channel == channel;
    }
    if (rule_.role != Role::MIX) return made == channel;
    const int inputs = bottoms_[b]->shape(1) / rule_.groups;
    const int outputs = tops_[t]->shape(1) / rule_.groups;
    return made / outputs == channel / inputs;
  }

  /// Of what is not made from bottom b's channel nothing may differ.
  void expect_same_but_for(int b, int channel, const std::vector<Values>& before,
                           const std::vector<Values>& after) {
    for (int t = 0; t < fixture_.tops(); ++t) {
      for (int made = 0; made < tops_[t]->shape(1); ++made) {
        if (is_made_from(t, made, b, channel)) continue;
        EXPECT_EQ(channel_of(*tops_[t], before[t], made), channel_of(*tops_[t], after[t], made))
            << "channel " << made << " of top " << t << " hangs on channel " << channel
            << " of bottom " << b;
      }
    }
  }

  /// Which bottoms' channels each of the tops' hangs on.
  void check_sources();
  void check_constants();
  /// f(factor x) = factor f(x).
  void check_factors();
  /// A product is zero where one factor is.
  void check_zeros();
  void check_blobs();
  /// A layer whose bottom lacks a zero channel makes the same.
  void check_total();

  LayerFixture fixture_;
  Blobs bottoms_;
  Blobs tops_;
  ChannelRule rule_;
};

float largest_difference(const Values& a, const Values& b, float factor = 1) {
  float largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::fabs(factor * a[i] - b[i]));
  return largest;
}

bool is_one_value(const Values& values) {
  return std::all_of(values.begin(), values.end(),
                     [&](float value) { return std::fabs(value - values[0]) < 1e-5F; });
}

void ChannelRules::check_sources() {
  const std::vector<Values> before = tops();
  for (int b = 0; b < coupled(); ++b) {
    for (int c = 0; c < bottoms_[b]->shape(1); ++c) {
      const Values kept(bottoms_[b]->cpu_data(), bottoms_[b]->cpu_data() + bottoms_[b]->count());
      for_channel(bottoms_[b], c, [](float& value) { value = 1.5F * value + 0.3F; });
      const std::vector<Values> after = tops();
      std::copy(kept.begin(), kept.end(), bottoms_[b]->mutable_cpu_data());
      expect_same_but_for(b, c, before, after);
    }
  }
}

void ChannelRules::check_constants() {
  if (rule_.constants == Constants::NONE) return;
  for (const float constant : {0.0F, 0.7F}) {
    if (constant != 0 && rule_.constants == Constants::ZERO) continue;
    for (int b = 0; b < coupled(); ++b)
      for (int c = 0; c < bottoms_[b]->shape(1); ++c)
        for_channel(bottoms_[b], c, [&](float& value) { value = constant; });
    const std::vector<Values> found = tops();
    for (std::size_t t = 0; t < found.size(); ++t)
      for (int made = 0; made < tops_[t]->shape(1); ++made) {
        const Values values = channel_of(*tops_[t], found[t], made);
        EXPECT_TRUE(is_one_value(values)) << "channel " << made << " of constants " << constant;
        const bool stays = rule_.role != Role::MIX && rule_.constants != Constants::ANY;
        if (!stays) continue;
        EXPECT_NEAR(values[0], constant, 1e-5F) << "channel " << made;
      }
  }
}

void ChannelRules::check_factors() {
  if (rule_.role == Role::MIX || rule_.homogeneous == Homogeneous::NEVER) return;
  const std::vector<Values> before = tops();
  for (const float factor : {2.0F, -0.5F}) {
    if (factor < 0 && rule_.homogeneous == Homogeneous::FOR_POSITIVE) continue;
    std::vector<Values> kept;
    for (int b = 0; b < coupled(); ++b) {
      kept.emplace_back(bottoms_[b]->cpu_data(), bottoms_[b]->cpu_data() + bottoms_[b]->count());
      for (int i = 0; i < bottoms_[b]->count(); ++i) bottoms_[b]->mutable_cpu_data()[i] *= factor;
    }
    const std::vector<Values> after = tops();
    for (std::size_t t = 0; t < before.size(); ++t)
      EXPECT_LT(largest_difference(before[t], after[t], factor), 1e-5F) << factor;
    for (int b = 0; b < coupled(); ++b)
      std::copy(kept[b].begin(), kept[b].end(), bottoms_[b]->mutable_cpu_data());
  }
}

void ChannelRules::check_zeros() {
  if (!rule_.is_product) return;
  for (int b = 0; b < coupled(); ++b) {
    const Values kept(bottoms_[b]->cpu_data(), bottoms_[b]->cpu_data() + bottoms_[b]->count());
    bottoms_[b]->set_data(0);
    for (const Values& values : tops())
      EXPECT_EQ(largest_difference(values, Values(values.size())), 0);
    std::copy(kept.begin(), kept.end(), bottoms_[b]->mutable_cpu_data());
  }
}

void ChannelRules::check_blobs() {
  const auto& blobs = fixture_.layer().blobs();
  ASSERT_LE(rule_.channel_blobs, static_cast<int>(blobs.size()));
  for (int b = 0; b < rule_.channel_blobs; ++b) {
    ASSERT_GE(blobs[b]->axes(), 1);
    EXPECT_EQ(blobs[b]->shape(0), tops_[0]->shape(1));
  }
  if (rule_.role != Role::MIX) return;
  EXPECT_EQ(blobs[0]->count(),
            bottoms_[0]->shape(1) * tops_[0]->shape(1) / rule_.groups * rule_.kernel);
}

void ChannelRules::check_total() {
  const int channels = bottoms_[0]->shape(1);
  Shape shorter = bottoms_[0]->shape();
  shorter[1] = channels - 1;
  LayerFixture without(
      std::string("name: 'it' type: '") + GetParam().type + "' " + GetParam().parameter, {shorter},
      1, test_context());
  constexpr int kDead = 2;
  for_channel(bottoms_[0], kDead, [](float& value) { value = 0; });
  const Values whole = tops()[0];
  float* kept = without.bottom(0).mutable_cpu_data();
  const int inner = bottoms_[0]->count(2);
  for (int i = 0; i < bottoms_[0]->count(); ++i)
    if (i / inner % channels != kDead) *kept++ = bottoms_[0]->cpu_data()[i];
  without.forward();
  const Blob& top = without.top(0);
  Values fewer(top.cpu_data(), top.cpu_data() + top.count());
  for (float& value : fewer)
    if (rule_.is_mean) value *= static_cast<float>(channels - 1) / static_cast<float>(channels);
  EXPECT_LT(largest_difference(whole, fewer), 1e-4F);
  EXPECT_GT(largest_difference(whole, Values(whole.size())), 0.1F);
}

TEST_P(ChannelRules, AreWhatTheLayersDo) {
  if (is_wall()) return;
  if (rule_.role == Role::TOTAL) return check_total();
  check_sources();
  check_factors();
  check_zeros();
  check_blobs();
  check_constants();
}

INSTANTIATE_TEST_SUITE_P(All, ChannelRules, testing::ValuesIn(kCases), [](const auto& info) {
  return std::string(info.param.type) + "_" + std::to_string(info.index);
});

}  // namespace
}  // namespace vibnet
