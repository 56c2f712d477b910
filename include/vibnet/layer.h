#pragma once

#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/blob.h"
#include "vibnet/channel_rule.h"
#include "vibnet/context.h"
#include "vibnet/error.h"
#include "vibnet/random.h"

namespace vibnet {

using Blobs = std::vector<Blob*>;

/// How many bottoms or tops a layer takes.
struct BlobCount {
  static constexpr int kAny = 1 << 20;
  int min = 1;
  int max = 1;
};

/// One step of a net: reads its bottoms, writes its tops, and may hold parameters (blobs()).
/// The net calls set_up once, then reshape, and then forward and backward as often as it likes.
class Layer {
 public:
  Layer(const LayerParameter& parameter, const Context& context)
      : parameter_(parameter), context_(context) {}
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;
  virtual ~Layer() = default;

  virtual BlobCount bottom_count() const { return {1, 1}; }
  virtual BlobCount top_count() const { return {1, 1}; }
  /// True for a layer that a prototxt may name without its last tops: the net makes them.
  virtual bool makes_missing_tops() const { return false; }
  /// What a top weighs in the objective when the prototxt says nothing: 1 for a loss, else 0.
  virtual float default_loss_weight(int /*top*/) const { return 0; }
  /// False for blobs()[index] that backward never changes, such as running means.
  virtual bool is_learnable(int /*index*/) const { return true; }
  /// What decay_mult is for blobs()[index] when the prototxt says nothing.
  virtual float default_decay_mult(int /*index*/) const { return 1; }
  /// True where the first top may be the first bottom.
  virtual bool runs_in_place() const { return false; }
  /// False for a bottom that has no gradient, such as labels.
  virtual bool has_gradient(int /*bottom*/) const { return true; }

  /// Whether backward reads what forward wrote to the tops, so that no layer may overwrite it.
  virtual bool reads_tops(const Blobs& /*bottom*/, const Blobs& /*top*/) const { return false; }

  /// Whether forward makes the tops' data the bottom's memory, and backward the bottom's diff a
  /// top's: then the memory is in use as long as any of them.
  virtual bool shares_data() const { return false; }
  virtual bool shares_diff() const { return false; }
  /// Whether the gradient of each bottom is that of the first top as it is. Then the net may make
  /// their diffs one memory, where backward finds nothing left to do.
  virtual bool hands_on_diff() const { return false; }

  /// From now on forward, in TEST, adds this blob to what it writes, as an Eltwise sum behind the
  /// layer would. False where the layer does not do that.
  virtual bool add(const Blob* /*residual*/) { return false; }
  /// From now on forward, in TEST, writes 0 in place of what is below it, as a ReLU behind the
  /// layer, and behind what it adds, would. False where the layer does not do that.
  virtual bool rectify() { return false; }

  /// Checks the parameter and makes the blobs() that depend on the bottoms' shapes.
  virtual void set_up(const Blobs& /*bottom*/, const Blobs& /*top*/) {}
  /// Shapes the tops after the bottoms.
  virtual void reshape(const Blobs& bottom, const Blobs& top) = 0;
  virtual void forward(const Blobs& bottom, const Blobs& top) = 0;
  /// Overwrites the diff of each bottom with propagate_down, and adds to the diffs of blobs().
  virtual void backward(const Blobs& top, const std::vector<bool>& propagate_down,
                        const Blobs& bottom);

  /// After forward: throws Error for a value of the bottoms that cannot be, such as a label that is
  /// no class, where forward has not: a kernel that meets one cannot throw, and nobody waits for
  /// it.
  virtual void check(const Blobs& /*bottom*/) {}

  /// What the layer does to channels, after reshape; a wall unless the layer knows better.
  virtual ChannelRule channel_rule(const Blobs& /*bottom*/, const Blobs& /*top*/) const {
    return ChannelRule::wall();
  }

  /// What the layer adds to the objective besides its loss tops, such as a KL term.
  virtual double penalty() const { return 0; }
  /// Seconds that forward has waited for data in all.
  virtual double seconds_waited() const { return 0; }
  /// Floating-point operations of one forward pass at the present shapes, a multiply-add being two.
  virtual double flops() const { return 0; }

  const LayerParameter& parameter() const { return parameter_; }
  const std::string& name() const { return parameter_.name(); }
  const std::string& type() const { return parameter_.type(); }
  const std::vector<std::shared_ptr<Blob>>& blobs() const { return blobs_; }
  std::vector<std::shared_ptr<Blob>>& blobs() { return blobs_; }

  /// Whether backward shall compute the gradient of blobs()[index]. True unless the net says no.
  bool learns(int index) const {
    return index >= static_cast<int>(learns_.size()) || learns_[index];
  }
  void set_learns(int index, bool learns);

 protected:
  /// The layer's own random numbers.
  RandomKey random_key() const { return vibnet::random_key(context_.seed, name()); }

  /// Throws an Error that names this layer.
  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    vibnet::fail("layer '", name(), "' (", type(), "): ", parts...);
  }

  /// A field's value as a size. Throws an Error that names the field for one beyond any real layer.
  int size_of(const char* field, std::uint32_t value) const;

  /// This rank's share of a batch. Throws Error where the ranks' would not be alike.
  int share_of(int batch_size) const;

  /// Appends a parameter blob of this shape, filled; a null filler leaves it zero.
  void add_blob(const Shape& shape, const FillerParameter* filler);

  LayerParameter parameter_;
  const Context& context_;
  std::vector<std::shared_ptr<Blob>> blobs_;

 private:
  std::vector<bool> learns_;
};

}  // namespace vibnet
