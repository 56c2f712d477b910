#include <map>
#include <string>
#include <utility>
#include <vector>

#include "net/filter.h"

namespace vibnet {
namespace {

/// A blob as one layer wrote it: (layer, top). An in-place layer writes a new version of the name.
using Version = std::pair<int, int>;
constexpr Version kDangling{-1, -1};

struct Readers {
  int count = 0;
  int served = 0;
};

bool weighs_in_loss(const LayerParameter& layer, int top) {
  return top < layer.loss_weight_size() && layer.loss_weight(top) != 0;
}

std::string split_name(const NetParameter& net, Version version) {
  const LayerParameter& writer = net.layer(version.first);
  return writer.top(version.second) + "_" + writer.name() + "_" + std::to_string(version.second) +
         "_split";
}

std::string split_top(const std::string& split, int index) {
  return split + "_" + std::to_string(index);
}

/// The Split behind a top of the writer; it takes over the top's loss weight.
LayerParameter make_split(const std::string& name, int top, int readers, LayerParameter* writer) {
  LayerParameter split;
  split.set_name(name);
  split.set_type("Split");
  split.add_bottom(writer->top(top));
  for (int i = 0; i < readers; ++i) split.add_top(split_top(name, i));
  if (!weighs_in_loss(*writer, top)) return split;
  for (int i = 0; i < readers; ++i) split.add_loss_weight(i == 0 ? writer->loss_weight(top) : 0);
  writer->set_loss_weight(top, 0);
  return split;
}

}  // namespace

NetParameter insert_splits(const NetParameter& net) {
  std::map<Version, Readers> readers;
  std::map<std::string, Version> latest;
  std::vector<std::vector<Version>> read_by_layer(net.layer_size());
  for (int i = 0; i < net.layer_size(); ++i) {
    const LayerParameter& layer = net.layer(i);
    for (const std::string& bottom : layer.bottom()) {
      const auto found = latest.find(bottom);
      read_by_layer[i].push_back(found == latest.end() ? kDangling : found->second);
      ++readers[read_by_layer[i].back()].count;
    }
    for (int top = 0; top < layer.top_size(); ++top) {
      const int in_loss = weighs_in_loss(layer, top) ? 1 : 0;
      readers[{i, top}] = {in_loss, in_loss};
      latest[layer.top(top)] = {i, top};
    }
  }

  NetParameter out = net;
  out.clear_layer();
  for (int i = 0; i < net.layer_size(); ++i) {
    LayerParameter layer = net.layer(i);
    for (int bottom = 0; bottom < layer.bottom_size(); ++bottom) {
      const Version version = read_by_layer[i][bottom];
      Readers& all = readers[version];
      if (version == kDangling || all.count < 2) continue;
      layer.set_bottom(bottom, split_top(split_name(net, version), all.served++));
    }
    std::vector<LayerParameter> splits;
    for (int top = 0; top < layer.top_size(); ++top) {
      const int count = readers[{i, top}].count;
      if (count > 1) splits.push_back(make_split(split_name(net, {i, top}), top, count, &layer));
    }
    *out.add_layer() = std::move(layer);
    for (LayerParameter& split : splits) *out.add_layer() = std::move(split);
  }
  return out;
}

}  // namespace vibnet
