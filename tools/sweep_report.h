#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vibnet {

/// One net of a sweep.
struct SweepPoint {
  std::string name;
  /// Why there is no net; empty where there is. A failed point has no numbers.
  std::string failure;
  /// What the error is: "error, %" where the net tells its accuracy, else the output that stands
  /// in.
  std::string measure;
  double error = 0;
  std::int64_t weights = 0;
  double flops = 0;
  std::int64_t activation_bytes = 0;
  /// The gates' units, "3-8-79-22".
  std::string units;
  double forward_ms = 0;
  /// The net to compare with.
  bool is_dense = false;
};

SweepPoint failed_point(const std::string& name, const std::string& failure);

/// Written when a point is done, without its time, and read when the sweep goes on.
std::string to_json(const SweepPoint& point);
/// Throws Error where the text is no such point; `source` is its file.
SweepPoint point_from_json(const std::string& json, const std::string& source);

/// DIR/sweep.csv, sweep.json and sweep.svg, and the table on stdout. Failed points are in all but
/// the picture; where there are no others, there is none.
void report_sweep(const std::string& folder, const std::vector<SweepPoint>& points);

}  // namespace vibnet
