#include "support/random_graph.h"

#include <algorithm>
#include <iterator>
#include <random>

#include "support/outputs.h"
#include "support/random_layers.h"
#include "support/random_weights.h"
#include "support/trained_net.h"

namespace vibnet {
namespace {

constexpr int kManyValues = 400;
constexpr double kPrefersLiving[] = {0, 0.5, 0.9, 1};

/// Grows a graph from its inputs by drawing a blob and what is to be made of it.
class GraphDrawer {
 public:
  explicit GraphDrawer(std::uint32_t seed) : draw_(seed) {}

  RandomGraph draw() {
    add_inputs();
    for (int steps = 3 + draw_.below(6); steps > 0; --steps) step();
    finish();
    return {draw_.writer().text(), draw_.may_die()};
  }

 private:
  using Branch = RandomLayers::Branch;

  void add_inputs() {
    const int kind = draw_.below(20);
    const int height = 5 + draw_.below(4);
    const Shape map = {2, 1 + draw_.below(6), height, draw_.chance(0.7) ? height : 5};
    if (kind == 0) return add_input({2, 2 + draw_.below(4), 7});
    if (kind == 1) return add_input({2, 1 + draw_.below(3), 3, 4, 3});
    if (kind < 5) return add_input({3, 3 + draw_.below(10)});
    add_input(map);
    if (kind >= 17) add_input(kind == 17 ? map : Shape{2, 1 + draw_.below(6), map[2], map[3]});
    if (kind == 19) add_input({2, 3 + draw_.below(6)});
  }

  void add_input(const Shape& shape) {
    open_.push_back(draw_.bottlenecks(draw_.writer().add_input(shape), 0.5));
  }

  /// Makes something of one of the open blobs, which mostly is no longer open then.
  void step() {
    const int index = draw_.below(static_cast<int>(open_.size()));
    const Stream x = open_[index];
    const bool stays_open = draw_.chance(0.15) && open_.size() < 4;
    made_.push_back(x);
    if (!stays_open) open_.erase(open_.begin() + index);
    for (const Stream& made : draw_.chance(0.02)    ? Streams{weighed(x)}
                              : draw_.chance(0.02)  ? Streams{by_phase(x)}
                              : x.shape.size() == 4 ? grow_map(x)
                              : x.shape.size() == 2 ? grow_vector(x)
                                                    : grow_other(x))
      open_.push_back(made);
  }

  /// What weighs in the objective, and is read.
  Stream weighed(const Stream& x) {
    return draw_.apply(draw_.one_of<std::string>({"AbsVal", "Sigmoid", "ReLU"}), "loss_weight: 0.1",
                       {x});
  }

  Stream by_phase(const Stream& x) {
    const auto type = [this] {
      return draw_.one_of<std::string>({"ReLU", "TanH", "Sigmoid", "AbsVal", "ELU"});
    };
    return draw_.bottlenecks(draw_.writer().add_by_phase(type(), type(), x), 0.6);
  }

  Streams grow_map(const Stream& x) {
    const bool is_large = count(x.shape, 1, 4) > 2 * kManyValues;
    if (is_large) return {draw_.pooling(draw_.convolution(x, draw_.few_channels(), 2))};
    switch (draw_.below(24)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return {draw_.decorate(draw_.any_convolution(x))};
      case 4:
        return {draw_.decorate(draw_.pointwise(draw_.decorate(draw_.depthwise(x)), 6))};
      case 5:
      case 6:
        return {draw_.pooling(x)};
      case 7:
        return {draw_.decorate(draw_.deconvolution(x))};
      case 8:
      case 9:
      case 10:
      case 11:
        return {residual_blocks(x)};
      case 12:
      case 13:
        return {inception(x)};
      case 14:
      case 15:
        return slices(x);
      case 16:
        return {shuffle_unit(x)};
      case 17:
        return {second_shuffle_unit(x)};
      case 18:
        return {excite(x)};
      case 19:
        return {crop(x)};
      case 20:
        return twins(x);
      case 21:
        return {draw_.to_vector(x)};
      case 22:
        return copies(x);
      default:
        return {draw_.oddity(x)};
    }
  }

  Streams grow_vector(const Stream& x) {
    switch (draw_.below(12)) {
      case 0:
        return {residual_blocks(x)};
      case 1:
        return slices(x);
      case 2:
        return {inception(x)};
      case 3:
        return twins(x);
      case 4:
        return {as_map(x)};
      case 5:
        return {draw_.oddity(x)};
      case 6:
        return {draw_.decorate(x)};
      default:
        return {draw_.decorate(draw_.inner_product(x, 3 + draw_.below(8)))};
    }
  }

  Streams grow_other(const Stream& x) {
    switch (draw_.below(4)) {
      case 0:
        return {draw_.decorate(x)};
      case 1:
        return {draw_.decorate(draw_.any_convolution(x))};
      case 2:
        return {x.shape[1] > 1 ? slices(x)[0] : draw_.neuron(x)};
      default:
        return {draw_.to_vector(x)};
    }
  }

  Stream as_map(const Stream& x) {
    const std::string dims =
        x.shape[1] % 4 == 0 ? "dim: -1 dim: 2 dim: 2" : "dim: -1 dim: 1 dim: 1";
    return draw_.apply("Reshape", "reshape_param { shape { dim: 0 " + dims + " } }", {x});
  }

  /// A layer with units of its own that keeps height and width.
  Stream mix(const Stream& x, int outputs, int stride = 1) {
    return x.shape.size() == 4 ? draw_.convolution(x, outputs, stride)
                               : draw_.inner_product(x, outputs);
  }

  Stream residual_blocks(Stream x) {
    for (int blocks = 1 + draw_.below(3); blocks > 0; --blocks) x = residual_block(x);
    return x;
  }

  Stream residual_block(const Stream& x) {
    const bool is_map = x.shape.size() == 4;
    const int stride = is_map && draw_.chance(0.2) && x.shape[2] > 3 && x.shape[3] > 3 ? 2 : 1;
    const bool is_padded = stride == 2 && draw_.chance(0.5);
    const int outputs = is_padded                          ? 2 * x.shape[1]
                        : stride == 2 || draw_.chance(0.2) ? draw_.few_channels()
                                                           : x.shape[1];
    Streams branches;
    if (is_padded)
      branches.push_back(padded_shortcut(x));
    else if (stride == 1 && outputs == x.shape[1])
      branches.push_back(x);
    else
      branches.push_back(draw_.decorate(mix(x, outputs, stride)));
    for (int bodies = draw_.chance(0.15) ? 2 : 1; bodies > 0; --bodies)
      branches.push_back(body(x, outputs, stride));
    return draw_.decorate(draw_.eltwise(branches));
  }

  Stream body(Stream x, int outputs, int stride) {
    const Branch branch(&draw_);
    if (draw_.chance(0.7)) x = draw_.decorate(mix(x, draw_.few_channels()));
    if (draw_.chance(0.2) && x.shape.size() == 4) x = draw_.decorate(draw_.depthwise(x));
    if (draw_.chance(0.1) && stride == 1 && x.shape[1] == outputs) return draw_.decorate(x);
    return draw_.decorate(mix(x, outputs, stride));
  }

  /// Half the size, and as many channels of zeros behind: CIFAR's ResNets have it.
  Stream padded_shortcut(const Stream& x) {
    const Stream pooled =
        draw_.apply("Pooling", "pooling_param { pool: AVE kernel_size: 2 stride: 2 }", {x});
    const Stream zeros = draw_.apply("Power", "power_param { scale: 0 }", {pooled});
    return draw_.apply("Concat", "", {pooled, zeros});
  }

  Stream inception(const Stream& x) {
    Streams branches;
    const int size = 2 + draw_.below(3);
    for (int i = 0; i < size; ++i) {
      const Branch branch(&draw_);
      branches.push_back(inception_branch(x));
    }
    return draw_.decorate(draw_.concat(branches));
  }

  Stream inception_branch(const Stream& x) {
    const bool is_map = x.shape.size() == 4;
    switch (draw_.below(5)) {
      case 0:
        return draw_.bottlenecks(x, 1);
      case 1:
        if (!is_map) return draw_.neuron(x);
        return draw_.apply("Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 1 pad: 1 }",
                           {x});
      case 2:
        return draw_.decorate(mix(draw_.decorate(mix(x, draw_.few_channels())), 4));
      default:
        return draw_.decorate(mix(x, draw_.few_channels()));
    }
  }

  /// Cuts the channels in pieces, makes something of each, and mostly joins them again.
  Streams slices(const Stream& x) {
    const int channels = x.shape[1];
    if (channels < 2) return {draw_.neuron(x)};
    const int first = 1 + draw_.below(channels - 1);
    std::string points = " slice_point: " + std::to_string(first);
    const bool three = first + 1 < channels && draw_.chance(0.4);
    if (three)
      points += " slice_point: " + std::to_string(first + 1 + draw_.below(channels - first - 1));
    if (!three && 2 * first == channels) points = draw_.one_of<std::string>({"", points});
    Streams pieces = draw_.apply("Slice", "slice_param {" + points + " }", {x}, three ? 3 : 2);
    for (Stream& piece : pieces) {
      const Branch branch(&draw_);
      if (draw_.chance(0.3)) piece = draw_.decorate(piece);
      if (draw_.chance(0.3) && x.shape.size() != 3 && x.shape.size() != 5)
        piece = draw_.decorate(mix(piece, draw_.few_channels()));
    }
    if (draw_.chance(0.1)) {
      draw_.writer().add("Silence", "", {pieces.back()}, 0);
      pieces.pop_back();
    }
    if (pieces.size() > 1 && pieces[0].shape == pieces[1].shape && draw_.chance(0.5))
      return {draw_.eltwise({pieces[0], pieces[1]})};
    if (draw_.chance(0.2) || pieces.size() < 2) return pieces;
    return {draw_.concat(pieces)};
  }

  Stream shuffle(const Stream& x, int group) {
    return draw_.apply("ShuffleChannel",
                       "shuffle_channel_param { group: " + std::to_string(group) + " }", {x});
  }

  /// ShuffleNet's.
  Stream shuffle_unit(const Stream& x) {
    const int group = x.shape[1] % 3 == 0 ? 3 : 2;
    const bool fits = x.shape[1] % group == 0;
    const Stream in = fits ? x : draw_.pointwise(x, 2 * (1 + draw_.below(3)));
    Stream y = draw_.decorate(draw_.pointwise(in, group * (1 + draw_.below(3)), group));
    y = draw_.decorate(shuffle(y, draw_.one_of({group, y.shape[1] / group, group})));
    y = draw_.decorate(draw_.depthwise(y));
    y = draw_.decorate(draw_.pointwise(y, in.shape[1], group));
    return draw_.decorate(draw_.chance(0.7) ? draw_.eltwise({in, y}) : draw_.concat({in, y}));
  }

  /// ShuffleNet V2's.
  Stream second_shuffle_unit(const Stream& x) {
    const Stream in = x.shape[1] % 2 == 0 ? x : draw_.pointwise(x, 2 * (1 + draw_.below(3)));
    const Streams halves = draw_.apply("Slice", "", {in}, 2);
    Stream y = draw_.decorate(draw_.pointwise(halves[1], halves[1].shape[1]));
    y = draw_.convolution(draw_.decorate(y), y.shape[1], 1, y.shape[1]);
    y = draw_.decorate(draw_.pointwise(draw_.decorate(y), halves[1].shape[1]));
    return shuffle(draw_.apply("Concat", "", {halves[0], y}), 2);
  }

  /// Squeeze and excitation; the factors multiply, or multiply and are added to something.
  Stream excite(const Stream& x) {
    const int channels = x.shape[1];
    Stream factors = draw_.global_pooling(x);
    if (draw_.chance(0.5)) {
      factors = draw_.inner_product(draw_.neuron(draw_.inner_product(factors, 4)), channels);
    } else {
      factors = draw_.pointwise(draw_.neuron(draw_.pointwise(factors, 3)), channels);
      factors = draw_.apply("Flatten", "", {factors});
    }
    factors = draw_.apply("Sigmoid", "", {factors});
    if (draw_.chance(0.5)) return draw_.apply("Scale", "scale_param { axis: 0 }", {x, factors});
    const Stream body = draw_.convolution(x, channels);
    switch (draw_.below(3)) {
      case 0:
        return draw_.apply("Bias", "bias_param { axis: 0 }", {x, body});
      case 1:
        return draw_.apply("Scale", "scale_param { axis: 0 }",
                           {x, draw_.apply("Sigmoid", "", {body})});
      default:
        return draw_.apply("Axpy", "", {factors, body, x});
    }
  }

  /// What is left of the map beside a convolution without padding.
  Stream crop(const Stream& x) {
    if (x.shape[2] < 4 || x.shape[3] < 4) return draw_.neuron(x);
    const int outputs = draw_.chance(0.5) ? x.shape[1] : draw_.few_channels();
    const Stream small = draw_.apply(
        "Convolution",
        "convolution_param { num_output: " + std::to_string(outputs) + " kernel_size: 3 }", {x});
    if (outputs < x.shape[1] && draw_.chance(0.5))
      return draw_.eltwise(
          {small, draw_.apply("Crop", "crop_param { axis: 1 offset: 1 }", {x, small})});
    const Stream cut = draw_.apply("Crop", "crop_param { offset: 1 offset: 0 }", {x, small});
    return outputs == x.shape[1] && draw_.chance(0.5) ? draw_.eltwise({cut, small})
                                                      : draw_.concat({cut, small});
  }

  /// Two blobs of one shape through layers that share their parameters.
  Streams twins(const Stream& x) {
    const std::string name = "twins" + std::to_string(draw_.writer().layers());
    const int middle = draw_.few_channels();
    const int outputs = draw_.few_channels();
    const auto layer = [&](const Stream& in, int units, const char* which) {
      return in.shape.size() == 4 ? draw_.convolution(in, units, 1, 1, name + which)
                                  : draw_.inner_product(in, units, name + which);
    };
    Streams pair = {x, draw_.neuron(x)};
    if (!draw_.writer().may_overwrite(x)) pair[1] = draw_.apply("TanH", "", {x});
    const bool is_deep = draw_.chance(0.6);
    if (is_deep)
      for (Stream& twin : pair) twin = draw_.neuron(layer(twin, middle, "a"));
    if (draw_.chance(0.15) && x.shape.size() == 4)
      pair =
          draw_.apply("Convolution", "convolution_param { num_output: 4 kernel_size: 1 }", pair, 2);
    for (Stream& twin : pair) twin = layer(twin, outputs, "b");
    if (draw_.chance(0.3))
      for (Stream& twin : pair) twin = draw_.bottleneck(twin, name);
    if (draw_.chance(0.2)) return pair;
    return {draw_.chance(0.5) ? draw_.eltwise(pair) : draw_.concat(pair)};
  }

  /// Several consumers, through a Split of its own or not.
  Streams copies(const Stream& x) {
    Streams same = {x, x};
    if (draw_.chance(0.5)) same = draw_.apply("Split", "", {x}, 2);
    same[0] = draw_.chance(0.5) ? draw_.pooling(same[0]) : draw_.any_convolution(same[0]);
    if (draw_.chance(0.5)) same[1] = draw_.to_vector(same[1]);
    return same;
  }

  /// Joins what is open to one to three outputs, most of them vectors.
  void finish() {
    if (draw_.chance(0.2)) add_head_of_training(made_[draw_.below(static_cast<int>(made_.size()))]);
    if (open_.size() > 1 && draw_.chance(0.3)) {  // an output of TEST, which trains
      add_head_of_training(open_.back());
      open_.pop_back();
    }
    const std::size_t outputs = draw_.one_of<std::size_t>({1, 1, 1, 2, 3});
    while (open_.size() > outputs) {
      const Stream x = open_.back();
      open_.pop_back();
      Stream& other = open_[draw_.below(static_cast<int>(open_.size()))];
      other = join(other, x);
    }
    for (Stream& x : open_) {
      if (draw_.chance(0.1)) add_total(x);
      x = finish(x);
    }
  }

  /// One more output. A plain sum may be near zero, and rounding large beside it.
  void add_total(const Stream& x) {
    const std::string operation = draw_.one_of<std::string>({"ASUM", "SUMSQ"});
    const std::string axis = draw_.one_of<std::string>({"0", "1"});
    draw_.writer().add(
        "Reduction",
        "reduction_param { operation: " + operation + " axis: " + axis + " coeff: 0.01 }", {x});
  }

  /// Layers that are in TRAIN alone, to a loss or an output of theirs.
  void add_head_of_training(const Stream& x) {
    draw_.writer().set_rule("include { phase: TRAIN }");
    Stream y = draw_.chance(0.5) ? draw_.decorate(x) : draw_.neuron(x);
    if (draw_.chance(0.4) && y.shape.size() % 2 == 0) y = residual_block(y);
    if (draw_.chance(0.5)) y = draw_.bottleneck(draw_.decorate(draw_.inner_product(y, 4)));
    const int loss = draw_.below(5);
    if (loss == 0)
      draw_.apply("Reduction", "loss_weight: 0.1 reduction_param { operation: ASUM }", {y});
    if (loss == 1) y = weighed(y);
    if (loss == 2) y = draw_.bottleneck(y);
    draw_.writer().set_rule("");
    if (loss < 3) return;
    const Stream target = draw_.writer().add_input(y.shape);
    draw_.writer().set_rule("include { phase: TRAIN }");
    draw_.writer().add("EuclideanLoss", "", {y, target});
    draw_.writer().set_rule("");
  }

  Stream join(const Stream& a, const Stream& b) {
    if (a.shape == b.shape && draw_.chance(0.6)) return draw_.eltwise({a, b});
    const bool fit = a.shape.size() == 4 && b.shape.size() == 4 && a.shape[0] == b.shape[0] &&
                     a.shape[2] == b.shape[2] && a.shape[3] == b.shape[3];
    if (fit && draw_.chance(0.7)) return draw_.concat({a, b});
    Stream x = draw_.to_vector(a);
    Stream y = draw_.to_vector(b);
    if (x.shape[0] != y.shape[0]) return draw_.inner_product(x, 3);
    if (draw_.chance(0.5)) return draw_.concat({x, y});
    return draw_.eltwise({draw_.inner_product(x, 5), draw_.inner_product(y, 5)});
  }

  Stream finish(Stream x) {
    if (!draw_.has_bottlenecks()) x = draw_.bottleneck(x);
    if (draw_.chance(0.15) && x.name.rfind("Input", 0) != 0) return x;
    const Stream scores = draw_.inner_product(draw_.to_vector(x), 3 + draw_.below(3));
    switch (draw_.below(8)) {
      case 0:
        return draw_.apply("Softmax", "", {scores});
      case 1:
        return draw_.writer().add("EuclideanLoss", "",
                                  {scores, draw_.writer().add_input(scores.shape)})[0];
      default:
        return scores;
    }
  }

  RandomLayers draw_;
  Streams open_;
  Streams made_;  // all that something was made of
};

}  // namespace

RandomGraph random_graph(std::uint32_t seed) { return GraphDrawer(seed).draw(); }

NetParameter random_graph_weights(const RandomGraph& graph, std::uint32_t seed) {
  Masks masks;
  std::mt19937 random(seed);
  masks.prefers_living = kPrefersLiving[seed % std::size(kPrefersLiving)];
  const double most = masks.prefers_living == 0 ? 0.5 : 0.9;
  masks.dropped = std::uniform_real_distribution<double>(0.1, most)(random);
  masks.negative = seed % 3 == 0 ? 0.3 : 0;
  masks.zero = seed % 5 == 0 ? 0.1 : 0;
  masks.may_die = graph.may_die;
  return random_weights_with_masks(training_form(net_of(graph.prototxt)), seed, masks);
}

}  // namespace vibnet
