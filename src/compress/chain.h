#pragma once

#include <string>
#include <vector>

#include "vibnet.pb.h"

namespace vibnet {

/// A stretch of a chain between two layers that mix channels. Layers are named by their index in
/// the net; kNone stands for the net's input or end, or a layer that is a wall.
struct Span {
  static constexpr int kNone = -1;

  int producer = kNone;
  std::vector<int> inner;
  int consumer = kNone;
  bool is_input = false;
  /// The walls that the span begins and ends with, if it does.
  int wall_before = kNone;
  int wall_after = kNone;

  /// Where in `inner` a Flatten stands; inner.size() without one.
  std::size_t flatten_at = 0;
};

/// The blob that the chain starts from: the one top of a source (Data, Input, DummyData) that
/// layers other than heads read. Throws Error for a second one, or none.
std::string find_input(const NetParameter& net);

/// The chain of layers from the net's input to its scores, cut into spans. The net is one phase's,
/// its heads (losses, Accuracy) being no part of the chain. Throws Error for a graph with branches.
std::vector<Span> find_spans(const NetParameter& net);

}  // namespace vibnet
