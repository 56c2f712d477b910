#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compress/graph.h"

namespace vibnet {

/// For each channel of a blob its value, where it has the same at every place of every sample.
using Constants = std::vector<std::optional<float>>;

/// For each gate layer, by name, the units that it lets through.
using Masks = std::map<std::string, std::vector<bool>>;

/// What the gates let through by their own thresholds, or by `threshold`.
Masks masks_of(const Graph& graph, std::optional<float> threshold);

/// The constant channels of every blob, found from the masked units on towards the outputs. With
/// `training`, only those that stay so while the net learns on: zeros behind no learned shift.
std::vector<Constants> find_constants(const Graph& graph, const Masks& masks, bool training);

/// The outputs of TEST, and what its heads read there as far as layers with weights lead to it.
std::vector<int> find_outputs(const Graph& graph);
/// Those of find_outputs() of which every channel is constant: no path leads there any more.
std::vector<int> find_cut_outputs(const Graph& graph, const std::vector<Constants>& constants);

}  // namespace vibnet
