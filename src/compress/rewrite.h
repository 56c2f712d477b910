#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "compress/blob_edit.h"
#include "vibnet.pb.h"

namespace vibnet {

/// What shall become of the layers of a net, by name: kept for when all spans are known, then
/// applied to the prototxt of all phases and to the weights alike.
class Rewrite {
 public:
  /// The layer goes; who read its top reads its bottom.
  void remove(const std::string& layer) { removed_.insert(layer); }

  /// Behind the layer only these units go on, through Slice, Silence and Concat.
  void select_after(const std::string& layer, const Mask& units, bool is_input) {
    selections_[layer] = units;
    if (is_input) input_selection_ = layer;
  }

  /// `net` with the layers that `edited` has too taken from there, and all of the above done.
  NetParameter apply(const NetParameter& net, const NetParameter& edited) const;

  /// The deployment form of apply()'s result for one phase: the data layer becomes an Input, what
  /// needs labels goes, SoftmaxWithLoss becomes Softmax. `input_shape` is what is left of the input
  /// where a selection shortens it, and the selection goes.
  NetParameter deploy(const NetParameter& net, const std::vector<int>& input_shape) const;

 private:
  /// The net as it is when its input comes selected already.
  NetParameter without_selection(const NetParameter& net) const;

  std::set<std::string> removed_;
  std::map<std::string, Mask> selections_;
  std::string input_selection_;
};

}  // namespace vibnet
