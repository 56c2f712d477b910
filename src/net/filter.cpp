#include "net/filter.h"

#include <algorithm>

#include "vibnet/error.h"

namespace vibnet {
namespace {

bool has_stage(const NetState& state, const std::string& stage) {
  return std::find(state.stage().begin(), state.stage().end(), stage) != state.stage().end();
}

bool meets(const NetStateRule& rule, const NetState& state) {
  if (rule.has_phase() && rule.phase() != state.phase()) return false;
  if (rule.has_min_level() && state.level() < rule.min_level()) return false;
  if (rule.has_max_level() && state.level() > rule.max_level()) return false;
  for (const std::string& stage : rule.stage())
    if (!has_stage(state, stage)) return false;
  for (const std::string& stage : rule.not_stage())
    if (has_stage(state, stage)) return false;
  return true;
}

}  // namespace

bool is_included(const LayerParameter& layer, const NetState& state) {
  if (layer.include_size() > 0 && layer.exclude_size() > 0)
    fail("layer '", layer.name(), "': has include and exclude rules; give only one kind");
  const auto met = [&](const NetStateRule& rule) { return meets(rule, state); };
  if (layer.include_size() > 0)
    return std::any_of(layer.include().begin(), layer.include().end(), met);
  return std::none_of(layer.exclude().begin(), layer.exclude().end(), met);
}

NetParameter filter_net(const NetParameter& net, const NetState& state) {
  NetParameter filtered = net;
  filtered.clear_layer();
  for (const LayerParameter& layer : net.layer())
    if (is_included(layer, state)) *filtered.add_layer() = layer;
  return filtered;
}

NetState state_in(const NetParameter& net, Phase phase) {
  NetState state = net.state();
  state.set_phase(phase);
  return state;
}

NetParameter phase_of(const NetParameter& net, Phase phase) {
  return filter_net(net, state_in(net, phase));
}

NetParameter single_phase(const NetParameter& net, const NetState& state) {
  NetParameter phase = filter_net(net, state);
  for (LayerParameter& layer : *phase.mutable_layer()) {
    layer.clear_include();
    layer.clear_exclude();
  }
  return phase;
}

}  // namespace vibnet
