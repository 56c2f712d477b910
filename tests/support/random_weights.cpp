#include "support/random_weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "core/gate_rule.h"
#include "support/layer_fixture.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

constexpr float kFarFromThreshold = 5;
constexpr double kShareThatDies = 0.2;
constexpr double kSmall = 1e-2;

/// Of one channel's values the sum of squares, and that of the differences between samples: what
/// else varies may come from borders.
struct Channel {
  double varying = 0;
  double all = 0;
};

std::vector<Channel> channels_of(const Blob& blob) {
  const int channels = blob.axes() < 2 ? 1 : blob.shape(1);
  const int inner = blob.axes() < 2 ? 1 : blob.count(2);
  const int sample = channels * inner;
  std::vector<Channel> result(channels);
  for (int i = 0; i < blob.count(); ++i) {
    const double value = blob.cpu_data()[i];
    const double change = i < sample ? 0 : value - blob.cpu_data()[i - sample];
    result[i / inner % channels].all += value * value;
    result[i / inner % channels].varying += change * change;
  }
  return result;
}

/// The root mean square of what varies between samples, or of all where nothing does.
double size_of(const Blob& blob) {
  double varying = 0;
  double all = 0;
  for (const Channel& channel : channels_of(blob)) {
    varying += channel.varying;
    all += channel.all;
  }
  return std::sqrt((varying > 1e-4 * all ? varying : all) / blob.count());
}

/// Which units carry something that varies; where none does, those that are not 0.
std::vector<bool> living(const Blob& blob) {
  const std::vector<Channel> channels = channels_of(blob);
  const bool any_varies = std::any_of(channels.begin(), channels.end(),
                                      [](const Channel& one) { return one.varying > kSmall; });
  std::vector<bool> lives;
  for (const Channel& channel : channels)
    lives.push_back((any_varies ? channel.varying : channel.all) > kSmall * kSmall);
  return lives;
}

/// Draws the parameters of a net layer by layer, while noise flows through those that are drawn.
class WeightDrawer {
 public:
  WeightDrawer(std::uint32_t seed, const Masks& masks) : random_(seed), masks_(masks) {}

  void draw(Net* net) {
    std::uint64_t key = 11;
    for (const std::string& name : net->input_names()) fill_gaussian(key++, net->blob(name));
    for (int i = 0; i < static_cast<int>(net->layers().size()); ++i) {
      Layer* layer = net->layers()[i].get();
      if (is_gate(layer->type())) {
        fill_gate(living(*net->bottoms(i)[0]), layer);
      } else if (!layer->blobs().empty() && drawn_.insert(layer->blobs()[0]->cpu_data()).second) {
        fill(layer, net->bottoms(i).size());
        net->forward_layer(i);
        if (has_filters(*layer)) level(size_of(*net->tops(i)[0]), layer);
      }
      net->forward_layer(i);
    }
  }

 private:
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }
  double uniform(double from, double to) {
    return std::uniform_real_distribution<double>(from, to)(random_);
  }

  void normal(double mean, double deviation, Blob* blob) {
    std::normal_distribution<float> values(static_cast<float>(mean), static_cast<float>(deviation));
    float* data = blob->mutable_cpu_data();
    for (int i = 0; i < blob->count(); ++i) data[i] = values(random_);
  }

  static bool has_filters(const Layer& layer) {
    return layer.blobs()[0]->axes() > 1 && layer.type() != "Scale" && layer.type() != "Bias";
  }

  void fill(Layer* layer, std::size_t bottoms) {
    if (layer->type() == "BatchNorm") return fill_batch_norm(layer);
    for (const auto& blob : layer->blobs()) normal(0.2, 0.4, blob.get());
    if (layer->type() == "Scale" && bottoms == 1) fill_scales(layer->blobs()[0].get());
    if (!has_filters(*layer)) return;
    Blob* filters = layer->blobs()[0].get();
    normal(0, 1.4 / std::sqrt(std::max(1, filters->count(1))), filters);
  }

  /// Divides filters by the size of what they make.
  static void level(double size, Layer* layer) {
    if (size < kSmall) return;
    for (const auto& blob : layer->blobs())
      for (int i = 0; i < blob->count(); ++i)
        blob->mutable_cpu_data()[i] /= static_cast<float>(size);
  }

  void fill_batch_norm(Layer* layer) {
    normal(0, 0.4, layer->blobs()[0].get());
    Blob* variances = layer->blobs()[1].get();
    for (int i = 0; i < variances->count(); ++i)
      variances->mutable_cpu_data()[i] = static_cast<float>(uniform(0.7, 3));
    layer->blobs()[2]->set_data(1.5F);
  }

  void fill_scales(Blob* scales) {
    for (int i = 0; i < scales->count(); ++i) {
      double value = uniform(0.5, 1.5);
      if (chance(0.2)) value = chance(0.3) ? 0 : -value;
      scales->mutable_cpu_data()[i] = static_cast<float>(value);
    }
  }

  void fill_gate(const std::vector<bool>& lives, Layer* layer) {
    const int units = layer->blobs()[0]->count();
    const bool dies = masks_.may_die.count(layer->name()) > 0 && chance(kShareThatDies);
    const int kept =
        dies ? 0 : std::max(1, static_cast<int>(std::lround(units * (1 - masks_.dropped))));
    const std::vector<int> order = ranking(lives);
    for (int rank = 0; rank < units; ++rank) fill_unit(order[rank], rank < kept, layer);
  }

  void fill_unit(int unit, bool stays, Layer* layer) {
    const double size = uniform(0.5, 1.5);
    if (layer->type() == "HardConcrete") {  // far below 0 its factor is 0
      layer->blobs()[0]->mutable_cpu_data()[unit] = static_cast<float>(stays ? size : -4 - size);
      return;
    }
    double mu = chance(masks_.negative) ? -size : size;
    if (!stays && chance(masks_.zero)) mu = 0;
    layer->blobs()[0]->mutable_cpu_data()[unit] = static_cast<float>(mu);
    layer->blobs()[1]->mutable_cpu_data()[unit] =
        static_cast<float>(2 * std::log(size)) +
        layer->parameter().information_bottleneck_param().threshold() +
        (stays ? -kFarFromThreshold : kFarFromThreshold);
  }

  /// The units, those to be kept first.
  std::vector<int> ranking(const std::vector<bool>& lives) {
    std::vector<double> place;
    for (const bool one : lives) place.push_back(uniform(0, 1) + (one ? 0 : masks_.prefers_living));
    std::vector<int> order(lives.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](int a, int b) { return place[a] < place[b]; });
    return order;
  }

  std::mt19937 random_;
  const Masks& masks_;
  /// Parameters that layers share are drawn once.
  std::set<const float*> drawn_;
};

}  // namespace

NetParameter random_weights_with_masks(const NetParameter& model, std::uint32_t seed,
                                       const Masks& masks) {
  Net net(model, NetOptions());
  WeightDrawer(seed, masks).draw(&net);
  return net.to_proto();
}

}  // namespace vibnet
