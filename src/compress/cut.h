#pragma once

#include <set>
#include <string>
#include <vector>

#include "compress/constants.h"
#include "compress/graph.h"
#include "compress/layout.h"
#include "compress/needs.h"

namespace vibnet {

/// What shall be left of a net: what is needed behind the masks.
struct Plan {
  std::vector<Constants> constants;
  Needs needs;
  Layout layout;
};

Plan make_plan(const Graph& graph, const Masks& masks, bool training);

/// What becomes of the gates.
enum class Gates { BECOME_SCALES, STAY };

/// Whether the values of weights and walls are written, or their shapes alone.
enum class Values { WRITTEN, LEFT_OUT };

/// The smaller net, by standard layers alone unless the gates stay. `scales`, if given, gets the
/// names of the gates that became Scale layers.
Graph cut_net(const Graph& graph, const Plan& plan, const Masks& masks, Gates gates, Values values,
              std::set<std::string>* scales = nullptr);

/// Tensors that go with the weights, such as gradients or a solver's history, cut as these are:
/// `blobs` holds them layer by layer. What is new in the weights is 0 in them.
NetParameter cut_along(const Graph& graph, const Plan& plan, const NetParameter& blobs);

}  // namespace vibnet
