#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/blob.h"
#include "vibnet/channel_rule.h"
#include "vibnet/layer.h"
#include "vibnet/net.h"

namespace vibnet {

/// A blob of a graph. What a layer makes in place is a blob of its own.
struct GraphBlob {
  std::string name;  // as the prototxt has it; versions made in place share one
  Shape shape;
  bool has_shape = false;
  int readers = 0;
  bool is_in_test = false;
  bool is_in_train = false;
  /// TEST has it, and no layer of TEST reads it; or no layer at all does.
  bool is_output = false;
  /// A loss or Accuracy reads it: an output of the net deployed.
  bool is_score = false;
  /// Every channel is needed, and in its place: another layer makes it too, in another phase.
  bool is_pinned = false;

  /// The size of axis 1; 0 without one.
  int channels() const { return shape.size() < 2 ? 0 : shape[1]; }
};

struct GraphLayer {
  LayerParameter parameter;  // without its weights
  /// Without values where the weights' file has none, or where only shapes were asked for.
  std::vector<BlobProto> blobs;
  std::vector<int> bottoms;
  std::vector<int> tops;
  enum class Kind {
    SOURCE,  // its tops come from outside the net
    HEAD,    // a loss, Accuracy, Silence, or what is made from one
    INNER
  };
  Kind kind = Kind::INNER;
  bool is_in_test = true;
  bool is_in_train = true;
  /// Its tops are another layer's too, in another phase.
  bool is_double = false;
  /// Layers with one number have parameters in common, at the same places; -1 for a layer of its
  /// own.
  int twins = -1;
  /// Made and shaped, but with weights only where constants were asked for; null unless INNER.
  std::unique_ptr<Layer> layer;
  ChannelRule rule;
};

/// Whether a phase has not got the layer, and there reads its bottom under the name of its top: it
/// works in place.
bool is_bypassed(const GraphLayer& layer);
/// Whether a top is a part of the objective, value by value, whatever reads it.
bool has_loss_weight(const LayerParameter& layer);

/// A stored blob without values.
BlobProto shape_only(const Shape& shape);
/// False for a layer whose blobs are shapes alone.
bool has_values(const GraphLayer& layer);

/// The layer's parameter with its weights.
LayerParameter with_blobs(const GraphLayer& layer);

/// One net of all phases twice: as a prototxt alone, and with weights.
struct NetWithWeights {
  NetParameter model;
  NetParameter weights;
};

/// A net of all phases, in the order of its file.
class Graph {
 public:
  /// Joins a prototxt of all phases with its weights, which are moved in. `input_shapes` holds the
  /// tops of its sources; an Input layer's may be left out. Layers that are not in TEST may have no
  /// weights; with Missing::KEEP no layer needs any. Throws Error, naming the layer, where shapes
  /// do not fit, or weights are missing or of another shape.
  Graph(const NetParameter& model, NetParameter weights,
        const std::map<std::string, std::vector<int>>& input_shapes,
        Missing missing = Missing::FAIL);
  Graph() : context_(std::make_shared<Context>()) { context_->fills_parameters = false; }

  /// Gives the layers their shapes and rules anew.
  void infer();
  /// The net as a prototxt, and with its weights, which are moved out. A blob keeps its name; where
  /// two would have one, the later does.
  NetWithWeights release();

  int add_blob(const std::string& name);
  bool is_output(int blob) const { return blobs[blob].is_output; }
  /// Whether a phase has the layer, or what stands for it there; as of find_uses().
  bool is_there(const GraphLayer& layer, Phase phase) const;
  /// The layer that makes a blob first; null for none.
  const GraphLayer* maker_of(int blob) const;
  /// Says of every blob which phases have it, how many layers read it, and what it is read for.
  void find_uses();
  /// By blob, the layers that read it, in their order; twice where one reads it twice.
  std::vector<std::vector<int>> find_readers() const;

  std::vector<GraphLayer> layers;
  std::vector<GraphBlob> blobs;
  NetParameter header;  // the net without its layers

 private:
  void append(const LayerParameter& parameter, std::map<std::string, int>* latest);
  void read_source(GraphLayer* layer, const std::map<std::string, std::vector<int>>& input_shapes);
  void shape_layer(GraphLayer* layer);
  void take_weights(GraphLayer* layer, std::map<std::string, LayerParameter*>* stored,
                    Missing missing);
  void connect();
  void wall_off_makers_of_one();
  void find_twins();
  bool shares_memory(int blob) const;
  bool may_overwrite_bottom(const GraphLayer& layer) const;
  bool needs_bypass(const GraphLayer& layer) const;
  std::vector<std::string> choose_names() const;

  std::shared_ptr<Context> context_;
};

}  // namespace vibnet
