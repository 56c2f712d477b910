#include "solver/plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace vibnet {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// Every tag that opens also closes, in order.
bool is_well_formed(const std::string& xml) {
  std::vector<std::string> open;
  for (std::size_t at = xml.find('<'); at != std::string::npos; at = xml.find('<', at + 1)) {
    const std::size_t end = xml.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = xml.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" /\n", 1));
    if (tag[0] == '?' || tag.back() == '/') continue;
    if (tag[0] != '/') {
      open.push_back(name);
    } else {
      if (open.empty() || "/" + open.back() != tag) return false;
      open.pop_back();
    }
  }
  return open.empty();
}

TEST(Plot, CurvesAreAPictureWithALinePerCurve) {
  const std::string svg = draw_curves({{"loss & KL", true, {{"loss", {0, 10, 20}, {5, 0.5, 0.05}}}},
                                       {"error", false, {{"error", {0, 20}, {90, 2}}}}});
  EXPECT_THAT(svg, HasSubstr("<svg"));
  EXPECT_TRUE(is_well_formed(svg)) << svg;
  EXPECT_THAT(svg, HasSubstr("loss &amp; KL"));
  EXPECT_THAT(svg, HasSubstr("error"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(Plot, OddValuesDrawNoBrokenPicture) {
  for (const bool logarithmic : {false, true})
    for (const std::vector<double>& values :
         {std::vector<double>{}, {0}, {0, 0}, {-1, 2}, {1e300, 1e-300}, {NAN, 1}, {INFINITY, 1}}) {
      std::vector<double> iterations(values.size());
      for (std::size_t i = 0; i < values.size(); ++i) iterations[i] = static_cast<double>(i);
      const std::string svg = draw_curves({{"p", logarithmic, {{"c", iterations, values}}}});
      EXPECT_TRUE(is_well_formed(svg));
      EXPECT_THAT(svg, Not(HasSubstr("nan")));
      EXPECT_THAT(svg, Not(HasSubstr("inf")));
    }
}

TEST(Plot, KeptUnitsNameTheLayerAndWhatIsLeft) {
  const std::string svg = draw_kept_units(
      {{"ib1", {0, 100, 200}, {{true, true, true}, {true, false, true}, {false, false, true}}}});
  EXPECT_TRUE(is_well_formed(svg)) << svg;
  EXPECT_THAT(svg, HasSubstr("ib1"));
  EXPECT_THAT(svg, HasSubstr("1"));
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(Plot, TradeOffsShowEveryNetAndTheDenseOne) {
  const std::string svg = draw_trade_offs(
      "error, %", {{"weights", {{"0.1", 2000, 0.9}, {"1", 300, 1.4}}, {{"dense", 430000, 0.8}}},
                   {"FLOPs", {{"0.1", 5, 0.9}}, {}}});
  EXPECT_TRUE(is_well_formed(svg)) << svg;
  for (const char* text : {"error, % over weights", ">0.1<", ">1<", ">dense<", "over FLOPs"})
    EXPECT_THAT(svg, HasSubstr(text));
  std::size_t dots = 0;
  for (std::size_t at = svg.find("<circle"); at != std::string::npos;
       at = svg.find("<circle", at + 1))
    ++dots;
  EXPECT_EQ(dots, 4U);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace vibnet
