#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vibnet.pb.h"

namespace vibnet {

struct CompressOptions {
  /// Replaces the bottlenecks' own threshold.
  std::optional<float> threshold;
  /// The shapes of what the TEST net's sources make, labels too, by blob. An Input layer's may be
  /// left out.
  std::map<std::string, std::vector<int>> input_shapes;
  /// Whether what the gates keep was learned, or else ranked by a criterion; what to advise where
  /// it is too little depends on it.
  bool gates_are_trained = true;
  /// Puts every BatchNorm and Scale into the weights around it, where that is exact.
  bool fold_batchnorm = false;
};

/// What became of a layer that has units of its own.
struct LayerReport {
  std::string name;
  std::string type;
  int units_before = 0;
  /// 0 for a layer that is gone. Of a bottleneck, fewer than it keeps where nothing needs some of
  /// them, more where some must stay as zeros.
  int units_after = 0;
  /// For a bottleneck: the units that still carry something, in the order of the layer.
  std::vector<int> kept;
};

struct CompressReport {
  std::vector<LayerReport> layers;
  /// The input features left, where a bottleneck on the input made it shorter; else empty.
  std::vector<int> kept_inputs;
  /// What could not be cut or folded, and why; which layers went whole.
  std::vector<std::string> notes;
};

struct CompressedNet {
  /// The given prototxt, smaller: with its data and loss layers, for testing and fine-tuning.
  NetParameter model;
  /// For deployment; see make_deploy().
  NetParameter deploy;
  /// The weights of both.
  NetParameter weights;
  CompressReport report;
};

/// Cuts out of a trained net every channel that its bottlenecks do not keep, all that only such
/// channels are made of or lead to, and the bottlenecks with them: the result computes what the net
/// computes in TEST, to within rounding.
///
/// `model` is the net's prototxt, all phases, any graph; `weights` its caffemodel, which may hold
/// nothing for layers that are not in TEST: they are cut to fit. Layers say what they do to
/// channels in Layer::channel_rule; one that does not keeps all channels, and the report names it.
/// An output that nothing of the input reaches stays, as the constant that it is. Throws Error for
/// weights that do not fit, a net with nothing to cut or fold, or one of which every output is
/// such.
CompressedNet compress(const NetParameter& model, NetParameter weights,
                       const CompressOptions& options);

/// The deployment form of a net as it is: its TEST phase, Inputs of batch 1 in place of its data
/// layers, and no layer that needs labels. Of the batch in `input_shapes` where the net works on
/// that and not on 1, as one with a Reshape that states the batch.
NetParameter make_deploy(const NetParameter& model,
                         const std::map<std::string, std::vector<int>>& input_shapes);

}  // namespace vibnet
