#include "support/layer_fixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "vibnet/filler.h"
#include "vibnet/proto_io.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// The objective's weight of a top's value: irregular, of either sign, never 0.
float weight_of(int top, int value) {
  return 1.0f + 0.7f * std::sin(1.3f * static_cast<float>(value) + static_cast<float>(top));
}

Blobs pointers(const std::vector<std::unique_ptr<Blob>>& blobs) {
  Blobs result;
  for (const auto& blob : blobs) result.push_back(blob.get());
  return result;
}

}  // namespace

void fill_gaussian(std::uint64_t key, Blob* blob) {
  FillerParameter filler;
  filler.set_type("gaussian");
  fill(filler, random_key(key, "test"), blob);
}

Context training_context(const Device& device) {
  Context context;
  context.phase = TRAIN;
  context.device = device;
  context.seed = 7;
  context.iteration = 3;
  return context;
}

LayerFixture::LayerFixture(const std::string& prototxt, const std::vector<Shape>& bottoms, int tops,
                           const Context& context)
    : context_(context) {
  LayerParameter parameter;
  parse_prototxt(prototxt, "test", &parameter);
  if (parameter.name().empty()) parameter.set_name("layer");
  for (const Shape& shape : bottoms) {
    bottoms_.push_back(std::make_unique<Blob>(shape));
    fill_gaussian(bottoms_.size(), bottoms_.back().get());
  }
  for (int i = 0; i < tops; ++i) tops_.push_back(std::make_unique<Blob>());
  bottom_pointers_ = pointers(bottoms_);
  top_pointers_ = pointers(tops_);
  layer_ = make_layer(parameter, context_);
  layer_->set_up(bottom_pointers_, top_pointers_);
  layer_->reshape(bottom_pointers_, top_pointers_);
}

void LayerFixture::forward() {
  layer_->reshape(bottom_pointers_, top_pointers_);
  layer_->forward(bottom_pointers_, top_pointers_);
}

void LayerFixture::set_top_diffs() {
  for (int t = 0; t < tops(); ++t) {
    float* diff = top(t).mutable_cpu_diff();
    for (int i = 0; i < top(t).count(); ++i) diff[i] = weight_of(t, i);
  }
}

void LayerFixture::backward() {
  set_top_diffs();
  std::vector<bool> propagate_down;
  for (int b = 0; b < bottoms(); ++b) propagate_down.push_back(layer_->has_gradient(b));
  for (const auto& blob : layer_->blobs()) {
    blob->set_diff(std::nanf(""));
    blob->clear_diff();
  }
  layer_->backward(top_pointers_, propagate_down, bottom_pointers_);
}

double LayerFixture::objective() {
  forward();
  double sum = layer_->penalty();
  for (int t = 0; t < tops(); ++t)
    for (int i = 0; i < top(t).count(); ++i) sum += double{weight_of(t, i)} * top(t).cpu_data()[i];
  return sum;
}

void check_gradients(LayerFixture* fixture, const GradientOptions& options) {
  struct Checked {
    Blob* blob;
    std::string name;
  };
  std::vector<Checked> all;
  for (int b = 0; b < fixture->bottoms(); ++b) {
    if (!fixture->layer().has_gradient(b)) continue;
    all.push_back({&fixture->bottom(b), "bottom " + std::to_string(b)});
    float* values = fixture->bottom(b).mutable_cpu_data();
    for (int i = 0; i < fixture->bottom(b).count(); ++i)
      if (std::fabs(values[i] - options.kink) < 2 * options.step)
        values[i] += static_cast<float>(4 * options.step);
  }
  for (std::size_t i = 0; i < fixture->layer().blobs().size(); ++i)
    if (fixture->layer().is_learnable(static_cast<int>(i)))
      all.push_back({fixture->layer().blobs()[i].get(), "blob " + std::to_string(i)});

  for (const Checked& checked : all) {
    fixture->forward();
    fixture->backward();
    const std::vector<float> gradient(checked.blob->cpu_diff(),
                                      checked.blob->cpu_diff() + checked.blob->count());
    for (int i = 0; i < checked.blob->count(); ++i) {
      const float value = checked.blob->cpu_data()[i];
      const auto at = [&](double shift) {
        checked.blob->mutable_cpu_data()[i] = static_cast<float>(value + shift);
        return fixture->objective();
      };
      const double slope = (at(options.step) - at(-options.step)) / (2 * options.step);
      checked.blob->mutable_cpu_data()[i] = value;
      const double scale = std::max({1.0, std::fabs(slope), std::fabs(double{gradient[i]})});
      ASSERT_NEAR(gradient[i], slope, options.tolerance * scale)
          << checked.name << ", value " << i << " of " << checked.blob->count();
    }
  }
}

}  // namespace vibnet
