#include "core/names.h"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace vibnet {
namespace {

/// Levenshtein's distance, upper and lower case being one.
int edit_distance(const std::string& a, const std::string& b) {
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const bool same = std::tolower(static_cast<unsigned char>(a[i - 1])) ==
                        std::tolower(static_cast<unsigned char>(b[j - 1]));
      const int substituted = diagonal + (same ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_names(const std::string& mistyped, const std::vector<std::string>& known) {
  std::vector<std::string> names = known;
  std::stable_sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return edit_distance(mistyped, a) < edit_distance(mistyped, b);
  });
  names.resize(std::min<std::size_t>(names.size(), 3));
  std::string question = "did you mean ";
  for (std::size_t i = 0; i < names.size(); ++i)
    question += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + names[i];
  return question + "?";
}

}  // namespace vibnet
