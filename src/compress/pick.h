#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "compress/graph.h"
#include "compress/layout.h"

namespace vibnet {

/// Adds to a graph what brings channels into another order, or leaves some out, with standard
/// layers: Slice, Concat, and Silence for what is left out.
class Picker {
 public:
  Picker(const Graph& uncut, Graph* graph);

  /// The blob that holds `wanted` of the `held` channels of a blob. Made once for all readers of
  /// the same phases; `reader` says which those are.
  int pick(int blob, const Channels& held, const Channels& wanted, const LayerParameter& reader);

  /// A term of a sum: the channels that its blob holds, those of them that are to be added, and
  /// times what.
  struct Term {
    int blob;
    Channels held;
    Channels read;
    float coefficient;
  };
  /// The sum of terms of which each holds some of the channels of `top`. Returns the top's blob.
  int sum_parts(const std::vector<Term>& terms, const Channels& top, const LayerParameter& eltwise);

  /// Adds a layer; its tops get these names.
  GraphLayer& add(const LayerParameter& parameter, const std::vector<int>& bottoms,
                  const std::vector<std::string>& tops);

  /// A layer that reads `bottoms` and makes one blob called `top`.
  int add_one(const std::string& type, const std::string& name, const std::vector<int>& bottoms,
              const std::string& top, const LayerParameter& reader);

  /// A Silence, so that these blobs do not become outputs.
  void silence(const std::string& name, const std::vector<int>& bottoms,
               const LayerParameter& reader);

  std::string fresh_layer(const std::string& name);
  std::string fresh_blob(const std::string& name);

 private:
  /// The sum of blobs that have the same channels.
  int sum(const std::string& name, const std::vector<int>& blobs,
          const std::vector<float>& coefficients, const LayerParameter& eltwise);
  /// The pieces that a blob is cut into, by where they begin; -1 for what is left out.
  std::map<int, int> slice(int blob, int size, const std::map<int, int>& pieces,
                           const LayerParameter& reader);

  Graph* graph_;
  std::set<std::string> layer_names_;
  std::set<std::string> blob_names_;
  std::map<std::tuple<int, std::vector<int>, std::string>, int> picked_;
};

/// Takes out each Slice whose pieces one Concat joins again in their order: what a pick becomes
/// when a later one comes before it.
void drop_rejoined_slices(Graph* graph);

}  // namespace vibnet
