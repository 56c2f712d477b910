#pragma once

#include <string>
#include <vector>

namespace vibnet {

/// One line of a chart: a value at each of some iterations.
struct Curve {
  std::string name;
  std::vector<double> iterations;
  std::vector<double> values;
};

/// One panel of a chart, with an axis of its own.
struct Panel {
  std::string title;
  bool is_logarithmic = false;
  std::vector<Curve> curves;
};

/// Which units of one gate were kept at each of some iterations.
struct KeptHistory {
  std::string layer;
  std::vector<double> iterations;
  std::vector<std::vector<bool>> kept;
};

/// One net of a trade-off: what it costs, and how wrong it is.
struct TradeOffPoint {
  std::string label;
  double cost = 0;
  double error = 0;
};

/// One panel of trade-offs: nets by one kind of cost, and the dense net to compare with, if any.
struct TradeOff {
  std::string title;
  std::vector<TradeOffPoint> points;
  std::vector<TradeOffPoint> dense;
};

/// The panels, one below the other over a common axis of iterations, as an SVG picture.
std::string draw_curves(const std::vector<Panel>& panels);

/// A band for each gate, a row for each unit (those that lived longest on top), coloured
/// while the unit is kept, as an SVG picture.
std::string draw_kept_units(const std::vector<KeptHistory>& histories);

/// The panels, one below the other, error over cost (logarithmic), as an SVG picture.
std::string draw_trade_offs(const std::string& error, const std::vector<TradeOff>& panels);

}  // namespace vibnet
