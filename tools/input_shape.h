#pragma once

#include <string>
#include <vector>

namespace vibnet {

/// What --input_shape says ("1,3,224,224"); empty for nothing. Throws UsageError for no shape.
std::vector<int> input_shape_flag(const std::string& value);

}  // namespace vibnet
