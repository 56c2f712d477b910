#include "solver/plot.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <sstream>

namespace vibnet {
namespace {

constexpr double kWidth = 760;
constexpr double kLeft = 80;
constexpr double kRight = 24;
constexpr double kPanelHeight = 180;
constexpr double kPanelGap = 56;
constexpr double kTop = 44;
const char* const kColours[] = {"#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed"};

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool is_empty() const { return low > high; }
  /// A range with room in it, even if all values are one.
  Range padded() const {
    if (is_empty()) return {0, 1};
    if (low < high) return *this;
    return {low - 0.5 * std::max(1e-6, std::fabs(low)),
            high + 0.5 * std::max(1e-6, std::fabs(high))};
  }
};

/// Maps values to one direction of the picture.
struct Axis {
  Range range;
  double from, to;

  double place(double value) const {
    return from + (to - from) * (value - range.low) / (range.high - range.low);
  }
};

/// 1, 2 or 5 times a power of ten: about five steps over the range.
double tick_step(const Range& range) {
  const double rough = (range.high - range.low) / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1, 2, 5})
    if (factor * power >= rough) return factor * power;
  return 10 * power;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

class Svg {
 public:
  explicit Svg(double height) {
    out_ << "<svg xmlns='http://www.w3.org/2000/svg' width='" << kWidth << "' height='" << height
         << "' viewBox='0 0 " << kWidth << " " << height
         << "' font-family='sans-serif' font-size='12' fill='#334155'>\n"
         << "<rect width='100%' height='100%' fill='white'/>\n";
  }

  void line(double x1, double y1, double x2, double y2, const char* colour) {
    out_ << "<line x1='" << x1 << "' y1='" << y1 << "' x2='" << x2 << "' y2='" << y2 << "' stroke='"
         << colour << "'/>\n";
  }
  void text(double x, double y, const char* anchor, const std::string& text,
            const char* extra = "") {
    out_ << "<text x='" << x << "' y='" << y << "' text-anchor='" << anchor << "' " << extra << ">"
         << escaped(text) << "</text>\n";
  }
  void rectangle(double x, double y, double width, double height, const char* colour) {
    out_ << "<rect x='" << x << "' y='" << y << "' width='" << width << "' height='" << height
         << "' fill='" << colour << "' shape-rendering='crispEdges'/>\n";
  }
  void dot(double x, double y, const char* colour) {
    out_ << "<circle cx='" << x << "' cy='" << y << "' r='4' fill='" << colour << "'/>\n";
  }
  void path(const std::string& points, const char* colour) {
    out_ << "<polyline points='" << points << "' fill='none' stroke='" << colour
         << "' stroke-width='1.8' stroke-linejoin='round'/>\n";
  }
  std::string finish() {
    out_ << "</svg>\n";
    return out_.str();
  }

 private:
  std::ostringstream out_;
};

std::string number(double value) {
  std::ostringstream text;
  text.precision(4);
  text << value;
  return text.str();
}

/// The multiples of a step that lie in the range.
std::vector<double> multiples(double step, const Range& range) {
  constexpr int kMost = 1000;
  const double first = std::ceil(range.low / step);
  std::vector<double> all;
  for (int i = 0; i < kMost && (first + i) * step <= range.high; ++i)
    all.push_back((first + i) * step);
  return all;
}

void draw_iteration_axis(const Axis& x, double y, double top, Svg* svg) {
  for (const double tick : multiples(tick_step(x.range), x.range)) {
    svg->line(x.place(tick), top, x.place(tick), y, "#f1f5f9");
    svg->text(x.place(tick), y + 16, "middle", number(tick));
  }
}

/// Where a value axis is marked, as it shows values: round numbers; 1, 2 and 5 of each power of
/// ten.
std::vector<double> marks(const Range& range, bool is_logarithmic) {
  std::vector<double> all;
  if (!is_logarithmic) return multiples(tick_step(range), range);
  for (const double decade : multiples(1, {std::floor(range.low), range.high}))
    for (const double factor : {1, 2, 5}) {
      const double mark = decade + std::log10(factor);
      const bool fits = range.high - range.low < 3 || factor == 1;
      if (fits && mark >= range.low && mark <= range.high) all.push_back(mark);
    }
  return all;
}

void draw_value_axis(const Axis& y, bool is_logarithmic, Svg* svg) {
  for (const double mark : marks(y.range, is_logarithmic)) {
    svg->line(kLeft, y.place(mark), kWidth - kRight, y.place(mark), "#e2e8f0");
    svg->text(kLeft - 8, y.place(mark) + 4, "end",
              number(is_logarithmic ? std::pow(10, mark) : mark));
  }
}

void draw_cost_axis(const Axis& x, double y, double top, Svg* svg) {
  for (const double mark : marks(x.range, true)) {
    svg->line(x.place(mark), top, x.place(mark), y, "#f1f5f9");
    svg->text(x.place(mark), y + 16, "middle", number(std::pow(10, mark)));
  }
}

/// The value as the axis shows it; NaN where it cannot.
double shown(const Panel& panel, double value) {
  if (!panel.is_logarithmic) return value;
  return value > 0 ? std::log10(value) : std::numeric_limits<double>::quiet_NaN();
}

void draw_curve(const Panel& panel, const Curve& curve, const Axis& x, const Axis& y,
                const char* colour, Svg* svg) {
  std::ostringstream points;
  points.precision(6);
  for (std::size_t i = 0; i < curve.values.size(); ++i) {
    const double value = shown(panel, curve.values[i]);
    if (std::isfinite(value))
      points << x.place(curve.iterations[i]) << "," << y.place(value) << " ";
  }
  svg->path(points.str(), colour);
}

void draw_panel(const Panel& panel, const Axis& x, double top, Svg* svg) {
  Range range;
  for (const Curve& curve : panel.curves)
    for (const double value : curve.values) range.include(shown(panel, value));
  if (!panel.is_logarithmic) range.include(0);
  const Axis y{range.padded(), top + kPanelHeight, top};
  draw_iteration_axis(x, top + kPanelHeight, top, svg);
  draw_value_axis(y, panel.is_logarithmic, svg);
  svg->text(kLeft, top - 10, "start", panel.title, "font-weight='bold' font-size='13'");
  double legend = kWidth - kRight;
  for (std::size_t i = panel.curves.size(); i-- > 0;) {
    const char* colour = kColours[i % std::size(kColours)];
    const std::string& name = panel.curves[i].name;
    if (panel.curves.size() > 1) {
      svg->text(legend, top - 10, "end", name);
      legend -= 7.0 * static_cast<double>(name.size()) + 18;
      svg->rectangle(legend, top - 19, 10, 10, colour);
      legend -= 14;
    }
    draw_curve(panel, panel.curves[i], x, y, colour, svg);
  }
}

/// Units by how long they were kept, the longest first.
std::vector<std::size_t> by_life(const KeptHistory& history) {
  const std::size_t units = history.kept.empty() ? 0 : history.kept.front().size();
  std::vector<std::size_t> life(units);
  for (const auto& kept : history.kept)
    for (std::size_t unit = 0; unit < units; ++unit) life[unit] += kept[unit] ? 1 : 0;
  std::vector<std::size_t> order(units);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return life[a] > life[b]; });
  return order;
}

double band_height(const KeptHistory& history) {
  const double units = history.kept.empty() ? 0 : static_cast<double>(history.kept.front().size());
  return std::clamp(3 * units, 60.0, 220.0);
}

/// Runs of iterations in which the unit was kept become one rectangle each.
void draw_unit(const KeptHistory& history, std::size_t unit, const Axis& x, double y, double height,
               Svg* svg) {
  const std::size_t steps = history.kept.size();
  const auto edge = [&](std::size_t i) {
    return x.place(i < steps ? history.iterations[i] : x.range.high);
  };
  for (std::size_t i = 0; i < steps; ++i) {
    if (!history.kept[i][unit]) continue;
    const std::size_t begin = i;
    while (i < steps && history.kept[i][unit]) ++i;
    svg->rectangle(edge(begin), y, std::max(0.5, edge(i) - edge(begin)), height, "#2563eb");
  }
}

void draw_dots(const std::vector<TradeOffPoint>& points, const Axis& x, const Axis& y,
               const char* colour, Svg* svg) {
  std::ostringstream line;
  for (const TradeOffPoint& point : points) {
    const double at_x = x.place(std::log10(point.cost));
    const double at_y = y.place(point.error);
    line << at_x << "," << at_y << " ";
    svg->dot(at_x, at_y, colour);
    svg->text(at_x, at_y - 8, "middle", point.label);
  }
  svg->path(line.str(), colour);
}

void draw_trade_off(const std::string& error, const TradeOff& panel, double top, Svg* svg) {
  Range costs;
  Range errors;
  errors.include(0);
  for (const auto* points : {&panel.points, &panel.dense})
    for (const TradeOffPoint& point : *points) {
      costs.include(std::log10(point.cost));
      errors.include(point.error * 1.1);
    }
  const Axis x{costs.padded(), kLeft + 20, kWidth - kRight - 30};
  const Axis y{errors.padded(), top + kPanelHeight, top};
  draw_cost_axis(x, top + kPanelHeight, top, svg);
  draw_value_axis(y, false, svg);
  svg->text(kLeft, top - 10, "start", error + " over " + panel.title,
            "font-weight='bold' font-size='13'");
  draw_dots(panel.points, x, y, kColours[0], svg);
  draw_dots(panel.dense, x, y, kColours[1], svg);
  for (const TradeOffPoint& dense : panel.dense)
    svg->line(kLeft, y.place(dense.error), kWidth - kRight, y.place(dense.error), kColours[1]);
}

}  // namespace

std::string draw_curves(const std::vector<Panel>& panels) {
  Range iterations;
  for (const Panel& panel : panels)
    for (const Curve& curve : panel.curves)
      for (const double iteration : curve.iterations) iterations.include(iteration);
  const Axis x{iterations.padded(), kLeft, kWidth - kRight};
  const double step = kPanelHeight + kPanelGap;
  Svg svg(kTop + step * static_cast<double>(panels.size()));
  double top = kTop;
  for (const Panel& panel : panels) {
    draw_panel(panel, x, top, &svg);
    top += step;
  }
  svg.text((kLeft + kWidth - kRight) / 2, top - kPanelGap + 36, "middle", "iteration");
  return svg.finish();
}

std::string draw_kept_units(const std::vector<KeptHistory>& histories) {
  Range iterations;
  double height = kTop + 16;
  for (const KeptHistory& history : histories) {
    for (const double iteration : history.iterations) iterations.include(iteration);
    height += band_height(history) + 40;
  }
  const Axis x{iterations.padded(), kLeft, kWidth - kRight};
  Svg svg(height);
  double top = kTop;
  for (const KeptHistory& history : histories) {
    const double band = band_height(history);
    const std::vector<std::size_t> order = by_life(history);
    const double row = band / std::max<double>(1, static_cast<double>(order.size()));
    const auto left = history.kept.empty() ? 0
                                           : std::count(history.kept.back().begin(),
                                                        history.kept.back().end(), true);
    svg.text(kLeft, top - 8, "start",
             history.layer + ": " + std::to_string(left) + " of " + std::to_string(order.size()) +
                 " units kept",
             "font-weight='bold'");
    svg.rectangle(kLeft, top, kWidth - kRight - kLeft, band, "#e2e8f0");
    for (std::size_t i = 0; i < order.size(); ++i)
      draw_unit(history, order[i], x, top + row * static_cast<double>(i), row, &svg);
    top += band + 40;
  }
  draw_iteration_axis(x, top - 36, top - 36, &svg);
  svg.text((kLeft + kWidth - kRight) / 2, top, "middle", "iteration");
  return svg.finish();
}

std::string draw_trade_offs(const std::string& error, const std::vector<TradeOff>& panels) {
  const double step = kPanelHeight + kPanelGap;
  Svg svg(kTop + step * static_cast<double>(panels.size()));
  double top = kTop;
  for (const TradeOff& panel : panels) {
    draw_trade_off(error, panel, top, &svg);
    top += step;
  }
  return svg.finish();
}

}  // namespace vibnet
