#pragma once

#include <string>
#include <vector>

namespace vibnet {

/// "did you mean ReLU or PReLU?": the known names nearest to a mistyped one by edit distance.
std::string nearest_names(const std::string& mistyped, const std::vector<std::string>& known);

}  // namespace vibnet
