#pragma once

#include <ostream>
#include <string>
#include <vector>

namespace vibnet {

/// Rows of text in columns as wide as their widest cell. The first `left` columns stand to the
/// left, numbers after them to the right.
class Table {
 public:
  Table(std::vector<std::string> heading, std::size_t left) : left_(left) { add(heading); }

  void add(const std::vector<std::string>& row) { rows_.push_back(row); }
  void print(std::ostream& out) const;

 private:
  std::size_t left_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace vibnet
