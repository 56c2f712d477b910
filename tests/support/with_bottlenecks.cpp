#include "support/with_bottlenecks.h"

#include <map>
#include <set>
#include <string>

#include "vibnet/net.h"

namespace vibnet {
namespace {

LayerParameter bottleneck(const std::string& name, const std::string& bottom) {
  LayerParameter layer;
  layer.set_name(name);
  layer.set_type("InformationBottleneck");
  layer.add_bottom(bottom);
  layer.add_top(name);
  return layer;
}

class EdgeWriter {
 public:
  EdgeWriter(const NetParameter& net, bool on_inputs)
      : shapes_(net, NetOptions()), out_(net), on_inputs_(on_inputs) {
    out_.clear_layer();
    for (const LayerParameter& layer : net.layer()) add(layer);
  }

  NetParameter net() const { return out_; }

 private:
  bool allows_bottleneck(const LayerParameter& reader, const std::string& blob) const {
    if (reader.type() == "Softmax" || reader.type() == "InformationBottleneck") return false;
    return shapes_.blob(blob)->axes() > 1 && (on_inputs_ || inputs_.count(blob) == 0);
  }

  void add(LayerParameter layer) {
    if (layer.type() == "Input") inputs_.insert(layer.top().begin(), layer.top().end());
    for (int i = 0; i < layer.bottom_size(); ++i) {
      const std::string blob = layer.bottom(i);
      const bool in_place = layer.top_size() > i && layer.top(i) == blob;
      std::string from = name_of(blob);
      if (allows_bottleneck(layer, blob)) {
        const std::string name =
            "ib/" + layer.name() + (layer.bottom_size() > 1 ? "/" + std::to_string(i) : "");
        *out_.add_layer() = bottleneck(name, from);
        from = name;
      }
      layer.set_bottom(i, from);
      if (!in_place) continue;
      layer.set_top(i, from);
      names_[blob] = from;
    }
    *out_.add_layer() = layer;
  }

  std::string name_of(const std::string& blob) const {
    const auto found = names_.find(blob);
    return found == names_.end() ? blob : found->second;
  }

  Net shapes_;
  NetParameter out_;
  bool on_inputs_;
  std::set<std::string> inputs_;
  std::map<std::string, std::string> names_;
};

}  // namespace

NetParameter with_bottlenecks_on_edges(const NetParameter& deploy, bool on_inputs) {
  return EdgeWriter(deploy, on_inputs).net();
}

}  // namespace vibnet
