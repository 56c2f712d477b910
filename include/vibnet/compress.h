#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vibnet.pb.h"

namespace vibnet {

struct CompressOptions {
  /// Replaces the bottlenecks' own threshold.
  std::optional<float> threshold;
  /// Shape of the net's input (see input_blob) for the deployment prototxt, batch first.
  std::vector<int> input_shape;
};

/// What became of a layer that has units of its own.
struct LayerReport {
  std::string name;
  std::string type;
  int units_before = 0;
  /// Fewer than a bottleneck keeps where another one drops some of them, more where a wall stays.
  int units_after = 0;
  /// For a bottleneck: the units that still carry something, in the order of the layer.
  std::vector<int> kept;
};

struct CompressReport {
  std::vector<LayerReport> layers;
  /// The input features left, where a bottleneck on the input made it shorter; else empty.
  std::vector<int> kept_inputs;
  /// What could not be cut or folded, and why.
  std::vector<std::string> notes;
};

struct CompressedNet {
  /// The given prototxt, smaller: with its data and loss layers, for testing and fine-tuning.
  NetParameter model;
  /// For deployment: an Input layer, and no layer that needs labels.
  NetParameter deploy;
  /// The weights of both.
  NetParameter weights;
  CompressReport report;
};

/// Cuts out of a trained net every unit that its InformationBottleneck layers do not keep, and the
/// bottlenecks with them: the result computes what the net computes in TEST, to within rounding.
///
/// `model` is the net's prototxt, all phases; `weights` its caffemodel. Works on any chain of
/// layers. Throws Error for a graph with branches, weights that do not fit, a net without
/// bottlenecks, or a layer that would lose every unit.
CompressedNet compress(const NetParameter& model, const NetParameter& weights,
                       const CompressOptions& options);

/// The blob of a chain's TEST phase that holds its input: what a data layer makes besides labels.
std::string input_blob(const NetParameter& model);

/// The deployment form of a net as it is: its TEST phase, an Input of `input_shape` in place of its
/// data layers, and no layer that needs labels.
NetParameter make_deploy(const NetParameter& model, const std::vector<int>& input_shape);

}  // namespace vibnet
