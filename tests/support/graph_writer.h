#pragma once

#include <map>
#include <string>
#include <vector>

#include "vibnet/blob.h"

namespace vibnet {

/// A blob of a net that is being written.
struct Stream {
  std::string name;
  Shape shape;
};
using Streams = std::vector<Stream>;

/// Writes a net's prototxt layer by layer. The layers themselves say what shape their tops have.
class GraphWriter {
 public:
  Stream add_input(const Shape& shape);
  /// A layer with this many tops of its own. Throws Error where the layer refuses its bottoms.
  Streams add(const std::string& type, const std::string& parameter, const Streams& bottoms,
              int tops = 1);
  /// A layer whose top is its bottom.
  Stream add_in_place(const std::string& type, const std::string& parameter, const Stream& bottom);
  /// One layer in TRAIN and another in TEST, of these types, that make one blob.
  Stream add_by_phase(const std::string& in_train, const std::string& in_test,
                      const Stream& bottom);
  /// Whether a layer may work in place on the blob: nothing else reads it, or the memory it is in.
  bool may_overwrite(const Stream& stream) const;

  /// The rule of all layers from now on, as "include { phase: TRAIN }".
  void set_rule(const std::string& rule) { rule_ = rule; }

  const std::string& text() const { return text_; }
  /// The name of the layer written last.
  std::string last_layer() const { return last_layer_; }
  int layers() const { return layers_; }

 private:
  std::string name_for(const std::string& type);
  std::vector<Shape> write(const std::string& type, const std::string& parameter,
                           const Streams& bottoms, const std::vector<std::string>& tops);

  std::string text_;
  std::string last_layer_;
  std::string rule_;
  int layers_ = 0;
  std::map<std::string, bool> may_overwrite_;
};

}  // namespace vibnet
