#pragma once

#include <map>
#include <string>
#include <vector>

#include "vibnet.pb.h"

namespace vibnet {

/// The deployment form of a net of one phase, with Inputs of batch 1.
NetParameter deploy_of_one(const NetParameter& net,
                           const std::map<std::string, std::vector<int>>& input_shapes);

/// Why a net of one phase does not compute at batch 1 what it does at the batch of its inputs.
/// Empty where it does, and where it works at neither.
std::string why_not_of_one(const NetParameter& net,
                           const std::map<std::string, std::vector<int>>& input_shapes);

/// Where all that a deployed net does with an Input is to select some of its features, takes the
/// selection out and shortens the Input. Returns the features selected; none where nothing is
/// shortened. Layers that `original` names are no selection.
std::vector<int> shorten_input(const NetParameter& original, NetParameter* deploy);

}  // namespace vibnet
