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

/// An output of TEST, or what a head reads there, of which every channel is constant; -1 if there is
/// none.
int find_cut_output(const Graph& graph, const std::vector<Constants>& constants);

}  // namespace vibnet
