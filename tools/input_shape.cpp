#include "input_shape.h"

#include <cstdlib>
#include <limits>
#include <sstream>

#include "tool.h"

namespace vibnet {

std::vector<int> input_shape_flag(const std::string& value) {
  std::vector<int> shape;
  std::istringstream list(value);
  for (std::string word; std::getline(list, word, ',');) {
    char* end = nullptr;
    const long size = std::strtol(word.c_str(), &end, 10);
    if (word.empty() || *end != '\0' || size < 1 || size > std::numeric_limits<int>::max())
      throw UsageError("--input_shape " + value + " is no shape such as 1,3,224,224");
    shape.push_back(static_cast<int>(size));
  }
  return shape;
}

}  // namespace vibnet
