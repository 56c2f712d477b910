#pragma once

#include <memory>
#include <string>
#include <vector>

#include "vibnet/blob.h"
#include "vibnet/context.h"
#include "vibnet/layer.h"

namespace vibnet {

/// TRAIN, a fixed seed and iteration.
Context training_context(const Device& device = Device());

/// One layer with bottoms and tops of its own, made through the registry from a prototxt text.
class LayerFixture {
 public:
  /// Bottoms get these shapes and gaussian values. In TRAIN unless `context` says else.
  LayerFixture(const std::string& prototxt, const std::vector<Shape>& bottoms, int tops = 1,
               const Context& context = training_context());
  LayerFixture(const LayerFixture&) = delete;  // the layer refers to context_
  LayerFixture& operator=(const LayerFixture&) = delete;

  Layer& layer() { return *layer_; }
  Blob& bottom(int index = 0) { return *bottoms_[index]; }
  Blob& top(int index = 0) { return *tops_[index]; }
  Context& context() { return context_; }
  int bottoms() const { return static_cast<int>(bottoms_.size()); }
  int tops() const { return static_cast<int>(tops_.size()); }

  void forward();
  /// Gradients of sum(weights of tops x tops) + penalty, for all bottoms that have one.
  void backward();

  /// What backward() differentiates, the layer run forward anew; its weights are fixed by position.
  double objective();
  void set_top_diffs();

 private:
  Context context_;
  std::vector<std::unique_ptr<Blob>> bottoms_;
  std::vector<std::unique_ptr<Blob>> tops_;
  Blobs bottom_pointers_;
  Blobs top_pointers_;
  std::unique_ptr<Layer> layer_;
};

/// Fills with N(0, 1), the same for the same key.
void fill_gaussian(std::uint64_t key, Blob* blob);

struct GradientOptions {
  double step = 1e-2;
  double tolerance = 1e-2;
  /// Bottom values nearer to this than two steps are moved off: ReLU's kink, say.
  double kink = 1e30;
};

/// Compares backward with central differences of objective(), for every bottom with a gradient and
/// every learned blob.
void check_gradients(LayerFixture* fixture, const GradientOptions& options = {});

}  // namespace vibnet
