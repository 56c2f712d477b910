#pragma once

#include <functional>
#include <ostream>
#include <vector>

#include "support/layer_fixture.h"

namespace vibnet {

/// A layer whose gradients are compared with finite differences, and with the GPU's where it has a
/// GPU implementation and the machine a GPU.
struct GradientCase {
  const char* name;
  const char* prototxt;
  std::vector<Shape> bottoms;
  int tops = 1;
  GradientOptions options = {};
  /// Puts values of its own into the bottoms, labels say; null keeps the gaussian ones.
  std::function<void(LayerFixture*)> prepare = nullptr;
};

/// A layer that cannot work on its bottoms or parameters, and a part of what it says of them.
struct WrongCase {
  const char* name;
  const char* prototxt;
  std::vector<Shape> bottoms;
  const char* complaint;
};

std::ostream& operator<<(std::ostream& out, const GradientCase& one);
std::ostream& operator<<(std::ostream& out, const WrongCase& one);

/// Each layer's test adds its cases at file scope; gradient_test and wrong_shapes_test run them
/// all. Names are unique.
bool add_gradient_cases(const std::vector<GradientCase>& cases);
bool add_wrong_cases(const std::vector<WrongCase>& cases);
const std::vector<GradientCase>& gradient_cases();
const std::vector<WrongCase>& wrong_cases();

/// Options of a gradient check: none; for a kink at 0; for layers that rank values, steps small
/// enough that no pair of neighbours changes places.
const GradientOptions kSmooth{};
const GradientOptions kKinkAtZero{1e-2, 1e-2, 0};
const GradientOptions kRanks{1e-3, 2e-2, 1e30};

/// A GradientCase's `prepare`: labels 0, 1, ... `classes` - 1, 0, ... in bottom 1.
std::function<void(LayerFixture*)> with_labels(int classes);

}  // namespace vibnet
