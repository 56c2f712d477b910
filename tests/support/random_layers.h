#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <set>
#include <string>

#include "support/graph_writer.h"

namespace vibnet {

/// Draws single layers and short chains, with bottlenecks on the edges between them.
class RandomLayers {
 public:
  explicit RandomLayers(std::uint32_t seed);

  int below(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }
  template <typename Value>
  Value one_of(std::initializer_list<Value> values) {
    return values.begin()[below(static_cast<int>(values.size()))];
  }

  /// One layer, with bottlenecks around it as they are drawn; in place where that is allowed and
  /// drawn.
  Stream apply(const std::string& type, const std::string& parameter, const Streams& bottoms);
  Streams apply(const std::string& type, const std::string& parameter, const Streams& bottoms,
                int tops);
  Stream in_place(const std::string& type, const std::string& parameter, const Stream& x);
  /// 0 to 3 bottlenecks behind the blob.
  Stream bottlenecks(Stream x, double probability);
  /// An InformationBottleneck, or now and then a HardConcrete; those of one `shared` name share
  /// their parameters.
  Stream bottleneck(const Stream& x, const std::string& shared = "");
  bool has_bottlenecks() const { return has_bottlenecks_; }

  /// A function of each value, of any kind but in the large bounded or growing slowly.
  Stream neuron(const Stream& x);
  /// 0 to 3 layers of those that stand around convolutions: normalization, scales and neurons.
  Stream decorate(Stream x);
  Stream normalize(const Stream& x);
  Stream any_convolution(const Stream& x);
  /// A convolution to a map of ceil(H / stride) x ceil(W / stride).
  Stream convolution(const Stream& x, int outputs, int stride = 1, int group = 1,
                     const std::string& shared = "");
  Stream pointwise(const Stream& x, int outputs, int group = 1);
  Stream depthwise(const Stream& x, int stride = 1);
  Stream deconvolution(const Stream& x);
  Stream pooling(const Stream& x);
  Stream global_pooling(const Stream& x);
  Stream inner_product(const Stream& x, int outputs, const std::string& shared = "");
  /// N x C of any blob.
  Stream to_vector(const Stream& x);
  Stream eltwise(Streams inputs);
  Stream concat(Streams inputs);
  /// A layer that mixes channels, moves them, or treats an axis in an unusual way.
  Stream oddity(const Stream& x);

  int few_channels() { return 2 + below(6); }

  /// While it lives, bottlenecks may lose every unit: they stand on a branch.
  class Branch {
   public:
    explicit Branch(RandomLayers* layers) : depth_(&layers->branches_) { ++*depth_; }
    ~Branch() { --*depth_; }
    Branch(const Branch&) = delete;
    Branch& operator=(const Branch&) = delete;

   private:
    int* depth_;
  };

  GraphWriter& writer() { return writer_; }
  const std::set<std::string>& may_die() const { return may_die_; }

 private:
  std::string bias_term() { return chance(0.3) ? " bias_term: false" : ""; }
  std::string size_keeping_window(int stride);
  std::string param_names(const std::string& shared, const std::string& bias);
  Stream scale(const Stream& x);
  Stream odd_map(const Stream& x);
  Stream odd_vector(const Stream& x);

  std::mt19937 random_;
  GraphWriter writer_;
  double bottleneck_probability_;
  double in_place_probability_;
  int branches_ = 0;
  bool has_bottlenecks_ = false;
  std::set<std::string> may_die_;
};

}  // namespace vibnet
