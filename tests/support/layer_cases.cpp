#include "support/layer_cases.h"

namespace vibnet {
namespace {

// In functions, so that they are there for any file's static initialisers.
std::vector<GradientCase>& all_gradient_cases() {
  static std::vector<GradientCase> cases;
  return cases;
}

std::vector<WrongCase>& all_wrong_cases() {
  static std::vector<WrongCase> cases;
  return cases;
}

template <typename Case>
bool append(const std::vector<Case>& cases, std::vector<Case>* all) {
  all->insert(all->end(), cases.begin(), cases.end());
  return true;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const GradientCase& one) { return out << one.name; }
std::ostream& operator<<(std::ostream& out, const WrongCase& one) { return out << one.name; }

bool add_gradient_cases(const std::vector<GradientCase>& cases) {
  return append(cases, &all_gradient_cases());
}
bool add_wrong_cases(const std::vector<WrongCase>& cases) {
  return append(cases, &all_wrong_cases());
}
const std::vector<GradientCase>& gradient_cases() { return all_gradient_cases(); }
const std::vector<WrongCase>& wrong_cases() { return all_wrong_cases(); }

std::function<void(LayerFixture*)> with_labels(int classes) {
  return [classes](LayerFixture* fixture) {
    Blob& labels = fixture->bottom(1);
    for (int i = 0; i < labels.count(); ++i)
      labels.mutable_cpu_data()[i] = static_cast<float>(i % classes);
  };
}

}  // namespace vibnet
