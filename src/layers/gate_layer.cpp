#include "layers/gate_layer.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "math/parallel.h"
#include "math/scratch.h"
#include "simd/kernels.h"

namespace vibnet {
namespace {

/// About how many values take as long as drawing one.
constexpr std::int64_t kValuesOfADraw = 16;
/// Values of a gradient that nobody wants that are written before the next take their place.
constexpr int kUnwanted = 4096;

}  // namespace

void GateLayer::set_up_gate(const Blobs& bottom, const std::vector<FillerParameter>& fillers) {
  if (bottom[0]->axes() < 2) fail("needs a bottom of at least 2 axes, N x C");
  if (!(gamma_ >= 0)) fail("gamma: ", gamma_, " cannot be negative");
  if (std::isinf(gamma_)) fail("gamma cannot be infinite");
  const int channels = bottom[0]->shape(1);
  if (!unit_.empty() && static_cast<int>(unit_.size()) != channels)
    fail("unit states ", unit_.size(), " number(s), and the bottom has ", channels, " channels");
  numbers_ = std::make_unique<SyncedMemory>(channels * sizeof(int));
  int* numbers = static_cast<int*>(numbers_->mutable_cpu_data());
  for (int c = 0; c < channels; ++c) numbers[c] = unit_.empty() ? c : size_of("unit", unit_[c]);
  pressures_ = std::make_unique<SyncedMemory>(channels * sizeof(float));
  std::fill_n(static_cast<float*>(pressures_->mutable_cpu_data()), channels, 1.0f);
  for (const FillerParameter& filler : fillers) add_blob({channels}, &filler);
}

void GateLayer::reshape(const Blobs& bottom, const Blobs& top) {
  if (bottom[0]->shape(1) != blobs_[0]->count())
    fail("was made for ", blobs_[0]->count(), " channels, and the bottom has ",
         bottom[0]->shape(1));
  samples_ = bottom[0]->shape(0);
  channels_ = bottom[0]->shape(1);
  spatial_ = bottom[0]->count(2);
  switch (kl_scale_kind_) {
    case InformationBottleneckParameter::SPATIAL:
      kl_scale_ = spatial_;
      break;
    case InformationBottleneckParameter::CHANNEL:
      kl_scale_ = 1;
      break;
    case InformationBottleneckParameter::WIDTH:
      kl_scale_ = bottom[0]->axes() > 2 ? bottom[0]->shape(-1) : 1;
      break;
  }
  ChannelwiseLayer::reshape(bottom, top);
  for (Blob* blob : {&slopes_, &sums_}) blob->reshape({samples_, channels_});
  factors_.reshape(is_training() ? Shape{samples_, channels_} : Shape{channels_});
}

ChannelRule GateLayer::channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const {
  ChannelRule rule = ChannelRule::pointwise(ChannelRule::Homogeneous::ALWAYS);
  rule.channel_blobs = static_cast<int>(blobs_.size());
  return rule;
}

std::vector<GateUnit> GateLayer::gate_units() const {
  std::vector<const float*> blobs;
  for (const auto& blob : blobs_) blobs.push_back(blob->cpu_data());
  std::vector<GateUnit> units = vibnet::gate_units(parameter_, channels_, blobs);
  for (int c = 0; c < channels_; ++c)
    if (numbers()[c] == kFrozen) units[c] = {0, std::numeric_limits<float>::infinity()};
  return units;
}

/// Of a cut layer the last ones may be gone without a trace.
int GateLayer::whole_units() const {
  int units = channels_;
  for (const std::uint32_t number : unit_) units = std::max(units, static_cast<int>(number) + 1);
  return units;
}

std::vector<float> GateLayer::scores() const {
  std::vector<float> scores;
  for (const GateUnit& unit : gate_units()) scores.push_back(unit.score);
  return scores;
}

std::vector<bool> GateLayer::kept() const {
  return kept_units(gate_units(), gate_threshold(parameter_));
}

std::vector<float*> GateLayer::mutable_values() {
  std::vector<float*> values;
  for (const auto& blob : blobs_) values.push_back(blob->mutable_cpu_data());
  return values;
}

void GateLayer::settle(const std::vector<bool>& kept) {
  settle_gate(parameter_, kept, mutable_values());
}

std::vector<float> GateLayer::test_factors() const {
  const float threshold = gate_threshold(parameter_);
  std::vector<float> factors;
  for (const GateUnit& unit : gate_units())
    factors.push_back(unit.score < threshold ? unit.factor : 0);
  return factors;
}

void GateLayer::check_units(const std::vector<bool>& units) const {
  if (static_cast<int>(units.size()) != channels_)
    fail("has ", channels_, " units, and ", units.size(), " are spoken of");
}

void GateLayer::freeze(const std::vector<bool>& dead) {
  check_units(dead);
  int* numbers = static_cast<int*>(numbers_->mutable_cpu_data());
  for (int c = 0; c < channels_; ++c)
    if (dead[c]) numbers[c] = kFrozen;
  shut_units(parameter_, dead, mutable_values());
}

std::vector<bool> GateLayer::frozen() const {
  std::vector<bool> units;
  units.reserve(channels_);
  for (int c = 0; c < channels_; ++c) units.push_back(numbers()[c] == kFrozen);
  return units;
}

void GateLayer::spare(const std::vector<bool>& units) {
  check_units(units);
  float* pressures = static_cast<float*>(pressures_->mutable_cpu_data());
  for (int c = 0; c < channels_; ++c) pressures[c] = units[c] ? 0 : 1;
}

std::vector<bool> GateLayer::spared() const {
  std::vector<bool> units;
  units.reserve(channels_);
  for (int c = 0; c < channels_; ++c) units.push_back(pressures()[c] == 0);
  return units;
}

std::vector<std::uint64_t> GateLayer::stamps() const {
  std::vector<std::uint64_t> stamps = {numbers_->stamp(), pressures_->stamp()};
  for (const auto& blob : blobs_) stamps.push_back(blob->data_stamp());
  return stamps;
}

GatePull GateLayer::pull() const {
  const double weight = context_.passes * gamma() * kl_scale_;
  const std::vector<bool> kept = this->kept();
  GatePull pull;
  for (int c = 0; c < channels_; ++c) {
    const std::array<double, 2> kl = kl_gradient(c, weight);
    if (!kept[c] || (kl[0] == 0 && kl[1] == 0)) continue;
    for (int b = 0; b < static_cast<int>(blobs_.size()); ++b) {
      if (!learns(b)) continue;
      const double data = blobs_[b]->cpu_diff()[c] - kl[b];
      pull.kl += kl[b] * kl[b];
      pull.data += data * data;
    }
  }
  return pull;
}

void GateLayer::set_test_factors() {
  std::vector<std::uint64_t> now = stamps();
  if (now == stamps_of_factors_) return;
  stamps_of_factors_ = std::move(now);
  const std::vector<float> factors = test_factors();
  std::copy(factors.begin(), factors.end(), factors_.mutable_cpu_data());
}

void GateLayer::set_factors(Noise kind, const Drawn& of, const SampleVisit& visit) {
  const RandomKey key = random_key();
  const int* numbers = this->numbers();
  // Of the units' numbers: the blocks of four draws, and where in those each unit's is.
  std::vector<std::uint32_t> blocks;
  std::vector<int> places(channels_);
  bool are_in_order = true;  // and none is frozen
  for (int c = 0; c < channels_; ++c) {
    are_in_order = are_in_order && numbers[c] == c;
    if (numbers[c] == kFrozen) continue;
    const auto block = static_cast<std::uint32_t>(numbers[c] / 4);
    if (blocks.empty() || blocks.back() != block) blocks.push_back(block);
    places[c] = static_cast<int>(4 * (blocks.size() - 1)) + numbers[c] % 4;
  }
  const auto draw = [&](std::uint32_t sample, float* values) {
    const int count = static_cast<int>(blocks.size());
    if (kind == Noise::NORMAL)
      return kernels().normals(key.value, context_.iteration, sample, blocks.data(), count, values);
    for (int i = 0; i < count; ++i) {
      const Random4 drawn = uniform4(key, context_.iteration, sample, blocks[i]);
      std::copy_n(drawn.values, 4, values + 4 * i);
    }
  };
  float* slopes = slopes_.mutable_cpu_data();
  float* factors = factors_.mutable_cpu_data();
  factors_now_ = factors;  // which a visit reads
  parallel_for(samples_, grain_of(kValuesOfADraw * channels_ + sample_size()),
               [&](std::int64_t begin, std::int64_t end) {
                 std::vector<float> values(std::max<std::size_t>(4, 4 * blocks.size()), 0.5f);
                 std::vector<float> noise(channels_);
                 for (std::int64_t n = begin; n < end; ++n) {
                   draw(first_sample() + static_cast<std::uint32_t>(n), values.data());
                   for (int c = 0; !are_in_order && c < channels_; ++c)
                     noise[c] = values[places[c]];
                   float* factor = factors + n * channels_;
                   float* slope = slopes + n * channels_;
                   of(are_in_order ? values.data() : noise.data(), factor, slope);
                   for (int c = 0; !are_in_order && c < channels_; ++c)
                     if (numbers[c] == kFrozen) factor[c] = slope[c] = 0;
                   visit(n);
                 }
               });
}

/// Each thread sums the samples that it has written, and these parts are joined in order.
GateLayer::UnitSums GateLayer::sum_samples() const {
  constexpr int kParts = 16;
  const int share = std::max(1, vibnet::parts(samples_, kParts));
  const int parts = vibnet::parts(samples_, share);
  const std::int64_t channels = channels_;
  const int kinds = is_training() ? 2 : 1;
  std::vector<float> sums_of_parts(parts * kinds * channels);
  const float* sums = sums_.cpu_data();
  const float* slopes = slopes_.cpu_data();
  parallel_for(parts, grain_of(kinds * share * channels),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t n = begin * share;
                      n < std::min<std::int64_t>(end * share, samples_); ++n) {
                   const float* sum = sums + n * channels;
                   const float* slope = slopes + n * channels;
                   float* plain = sums_of_parts.data() + n / share * kinds * channels;
                   float* sloped = plain + channels;
                   for (std::int64_t c = 0; c < channels; ++c) plain[c] += sum[c];
                   for (std::int64_t c = 0; kinds == 2 && c < channels; ++c)
                     sloped[c] += sum[c] * slope[c];
                 }
               });
  UnitSums all{std::vector<float>(channels_), std::vector<float>((kinds - 1) * channels_)};
  for (int part = 0; part < parts; ++part) {
    const float* of_part = sums_of_parts.data() + part * kinds * channels;
    for (std::int64_t c = 0; c < channels; ++c) all.plain[c] += of_part[c];
    for (std::int64_t c = 0; kinds == 2 && c < channels; ++c)
      all.sloped[c] += of_part[channels + c];
  }
  return all;
}

void GateLayer::begin_forward(const Blobs& /*bottom*/) {
  is_training() ? draw_factors([](std::int64_t) {}) : set_test_factors();
  factors_now_ = factors_.cpu_data();
}

/// Calls visit(first plane, planes) for planes side by side, of one sample each time, on all
/// threads.
template <typename Visit>
void GateLayer::for_planes(const Visit& visit) const {
  const std::int64_t channels = channels_;
  parallel_for(samples_ * channels, grain_of(spatial_), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t next = begin; begin < end; begin = next) {
      next = std::min(end, (begin / channels + 1) * channels);
      visit(begin, static_cast<int>(next - begin));
    }
  });
}

GatedPlanes GateLayer::gated(std::int64_t plane, int planes, float slope) const {
  return {planes, spatial_, factors_now_ + (is_training() ? plane : plane % channels_), slope};
}

void GateLayer::forward_planes(float slope, const float* x, float* y) {
  const Kernels& loops = kernels();
  const auto gate = [&](std::int64_t plane, int planes) {
    loops.gate(gated(plane, planes, slope), x + plane * spatial_, y + plane * spatial_);
  };
  if (is_training() && sample_size() < kParallelGrain)
    return draw_factors([&](std::int64_t n) { gate(n * channels_, channels_); });
  begin_forward({});
  for_planes(gate);
}

void GateLayer::backward_planes(float slope, const float* x, const float* y, const float* dy,
                                float* dx) {
  const Kernels& loops = kernels();
  factors_now_ = factors_.cpu_data();
  float* sums = sums_.mutable_cpu_data();
  for_planes([&](std::int64_t begin, int planes) {
    const int most = dx != nullptr ? planes : std::max(1, kUnwanted / std::max(1, spatial_));
    for (int next = 0; next < planes; next += most) {
      const std::int64_t plane = begin + next;
      const std::int64_t at = plane * spatial_;
      const int some = std::min(most, planes - next);
      float* to = dx != nullptr ? dx + at : scratch(std::size_t(some) * spatial_);
      loops.gate_gradient(gated(plane, some, slope), x == nullptr ? nullptr : x + at, y + at,
                          dy + at, to, sums + plane);
    }
  });
}

/// Where a unit has one value: calls visit(i, unit) for each value of a block, of a channel's
/// samples or of the blob as one row, with the place of its factor from the block's first on.
template <typename Visit>
void GateLayer::for_each_unit(const ChannelBlock& block, const Visit& visit) const {
  if (block.values == 1)
    for (int n = 0; n < block.samples; ++n) visit(n, block.first_value + n * channels_);
  else
    for (int i = 0; i < block.values; ++i) visit(i, block.first_value + i);
}

/// Each value times the factor of its channel and, in TRAIN, sample.
void GateLayer::multiply(const ChannelBlock& block, const float* from, float* to) const {
  const BlockKernels& loops = kernels().blocks;
  const float* factors = factors_now_ + block.channel;
  if (!is_training()) return loops.multiply_add(from, 0, *factors, 0, to, block.count());
  factors += std::ptrdiff_t{block.first_sample} * channels_;
  if (spatial_ == 1)
    return for_each_unit(block, [&](int i, int unit) { to[i] = from[i] * factors[unit]; });
  for (int n = 0; n < block.samples; ++n)
    loops.multiply_add(from + n * block.values, 0, factors[n * channels_], 0, to + n * block.values,
                       block.values);
}

void GateLayer::forward_block(const ChannelBlock& block, const float* x, float* y) {
  multiply(block, x, y);
}

void GateLayer::begin_backward(int /*parts*/) {
  factors_now_ = factors_.cpu_data();
  if (spatial_ != 1) sums_.set_data(0);  // else each is written once
  sums_now_ = sums_.mutable_cpu_data();
}

void GateLayer::backward_block(const ChannelBlock& block, const float* x, const float* /*y*/,
                               const float* dy, float* dx) {
  float* sums = sums_now_ + std::ptrdiff_t{block.first_sample} * channels_ + block.channel;
  if (spatial_ == 1) for_each_unit(block, [&](int i, int unit) { sums[unit] = x[i] * dy[i]; });
  for (int n = 0; spatial_ != 1 && n < block.samples; ++n) {
    const std::ptrdiff_t at = std::ptrdiff_t{n} * block.values;
    sums[n * channels_] += kernels().blocks.dot(x + at, 0, dy + at, block.values);
  }
  multiply(block, dy, dx);
}

void GateLayer::end_backward(const std::vector<bool>& /*propagate_down*/, const Blobs& /*bottom*/) {
  add_gradients();
}

}  // namespace vibnet
