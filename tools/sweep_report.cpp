#include "sweep_report.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <utility>

#include "core/json.h"
#include "solver/plot.h"
#include "table.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using google::protobuf::Struct;
using google::protobuf::Value;

constexpr const char* kColumns =
    "name,measure,error,weights,flops,activation_bytes,forward_ms,units,failure";

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

std::string csv_row(const SweepPoint& point) {
  if (!point.failure.empty()) return point.name + ",,,,,,,," + quoted(point.failure) + "\n";
  std::ostringstream row;
  row << point.name << "," << quoted(point.measure) << "," << point.error << "," << point.weights
      << "," << json_number(point.flops) << "," << point.activation_bytes << "," << point.forward_ms
      << "," << point.units << ",\n";
  return row.str();
}

std::string fixed(double value, int digits) {
  std::ostringstream text;
  text.setf(std::ios::fixed);
  text.precision(digits);
  text << value;
  return text.str();
}

std::vector<std::string> table_row(const SweepPoint& point) {
  if (!point.failure.empty()) return {point.name, "failed"};
  return {point.name,
          point.units,
          fixed(point.error, 3),
          std::to_string(point.weights),
          fixed(point.flops, 0),
          std::to_string(point.activation_bytes),
          fixed(point.forward_ms, 3)};
}

void print(const std::vector<SweepPoint>& points, const std::string& measure) {
  Table table({"net", "units", measure, "weights", "FLOPs", "activation bytes", "ms"}, 2);
  for (const SweepPoint& point : points) table.add(table_row(point));
  table.print(std::cout);
}

/// The number at the end of a point's name.
std::string value_of(const SweepPoint& point) {
  return point.name.substr(point.name.rfind('_') + 1);
}

TradeOff trade_off(const std::string& title, const std::vector<SweepPoint>& points,
                   double (*cost)(const SweepPoint&)) {
  TradeOff panel{title, {}, {}};
  for (const SweepPoint& point : points)
    if (point.is_dense)
      panel.dense.push_back({point.name, cost(point), point.error});
    else
      panel.points.push_back({value_of(point), cost(point), point.error});
  std::sort(panel.points.begin(), panel.points.end(),
            [](const TradeOffPoint& a, const TradeOffPoint& b) { return a.cost < b.cost; });
  return panel;
}

std::string draw(const std::vector<SweepPoint>& points) {
  using Point = const SweepPoint&;
  return draw_trade_offs(points[0].measure,
                         {trade_off("weights", points, [](Point p) { return double(p.weights); }),
                          trade_off("FLOPs", points, [](Point p) { return p.flops; }),
                          trade_off("milliseconds of a forward pass, batch 1", points,
                                    [](Point p) { return p.forward_ms; })});
}

std::vector<SweepPoint> without_failed(const std::vector<SweepPoint>& points) {
  std::vector<SweepPoint> made;
  for (const SweepPoint& point : points)
    if (point.failure.empty()) made.push_back(point);
  return made;
}

[[noreturn]] void fail_damaged(const std::string& source, const std::string& why) {
  fail(source, ": is no point of a sweep: ", why, "; remove it, and it will be made anew");
}

const Value& field_of(const char* name, const Struct& fields, const std::string& source) {
  const auto found = fields.fields().find(name);
  if (found == fields.fields().end()) fail_damaged(source, "it has no '" + std::string(name) + "'");
  return found->second;
}

std::string text_of(const char* name, const Struct& fields, const std::string& source) {
  const Value& value = field_of(name, fields, source);
  if (value.kind_case() != Value::kStringValue)
    fail_damaged(source, "'" + std::string(name) + "' is no text");
  return value.string_value();
}

/// NaN for null, which stands for it.
double number_of(const char* name, const Struct& fields, const std::string& source) {
  const Value& value = field_of(name, fields, source);
  if (value.kind_case() == Value::kNullValue) return NAN;
  if (value.kind_case() != Value::kNumberValue)
    fail_damaged(source, "'" + std::string(name) + "' is no number");
  return value.number_value();
}

std::int64_t count_of(const char* name, const Struct& fields, const std::string& source) {
  constexpr double kMost = 1e15;  // what a double still counts one by one
  const double number = number_of(name, fields, source);
  if (!(number >= 0 && number <= kMost))
    fail_damaged(source, "'" + std::string(name) + "' is no count");
  return static_cast<std::int64_t>(number);
}

}  // namespace

SweepPoint failed_point(const std::string& name, const std::string& failure) {
  SweepPoint point;
  point.name = name;
  point.failure = failure;
  return point;
}

std::string to_json(const SweepPoint& point) {
  const std::string names =
      "{\"name\": " + json_string(point.name) + ", \"failure\": " + json_string(point.failure);
  if (!point.failure.empty())
    return names +
           ", \"measure\": null, \"error\": null, \"weights\": null, \"flops\": null, "
           "\"activation_bytes\": null, \"units\": null, \"forward_ms\": null}";
  std::ostringstream json;
  json << names << ", \"measure\": " << json_string(point.measure)
       << ", \"error\": " << json_number(point.error) << ", \"weights\": " << point.weights
       << ", \"flops\": " << json_number(point.flops)
       << ", \"activation_bytes\": " << point.activation_bytes
       << ", \"units\": " << json_string(point.units)
       << ", \"forward_ms\": " << json_number(point.forward_ms) << "}";
  return json.str();
}

SweepPoint point_from_json(const std::string& json, const std::string& source) {
  google::protobuf::Struct fields;
  if (!google::protobuf::util::JsonStringToMessage(json, &fields).ok())
    fail_damaged(source, "it is no JSON object");
  SweepPoint point;
  point.name = text_of("name", fields, source);
  point.failure = text_of("failure", fields, source);
  if (!point.failure.empty()) return point;
  point.measure = text_of("measure", fields, source);
  point.error = number_of("error", fields, source);
  point.weights = count_of("weights", fields, source);
  point.flops = number_of("flops", fields, source);
  point.activation_bytes = count_of("activation_bytes", fields, source);
  point.units = text_of("units", fields, source);
  return point;
}

void report_sweep(const std::string& folder, const std::vector<SweepPoint>& points) {
  std::string csv = std::string(kColumns) + "\n";
  std::string json;
  for (const SweepPoint& point : points) {
    csv += csv_row(point);
    json += (json.empty() ? "[" : ",\n ") + to_json(point);
  }
  const std::vector<SweepPoint> made = without_failed(points);
  const std::string picture = folder + "/sweep.svg";
  std::vector<std::pair<std::string, std::string>> files = {{folder + "/sweep.csv", csv},
                                                            {folder + "/sweep.json", json + "]\n"}};
  if (!made.empty()) files.emplace_back(picture, draw(made));
  write_files(files);
  if (made.empty()) std::filesystem::remove(picture);  // an earlier sweep's, of other points
  print(points, made.empty() ? "error" : made[0].measure);
}

}  // namespace vibnet
