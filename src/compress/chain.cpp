#include "compress/chain.h"

#include <algorithm>
#include <string>
#include <utility>

#include "compress/rule.h"
#include "net/deploy.h"
#include "vibnet/error.h"

namespace vibnet {
namespace {

bool reads(const LayerParameter& layer, const std::string& blob) {
  return std::find(layer.bottom().begin(), layer.bottom().end(), blob) != layer.bottom().end();
}

[[noreturn]] void fail_branch(const LayerParameter& layer, const std::string& why) {
  fail("layer '", layer.name(), "' (", layer.type(), ") ", why,
       ": only a chain of layers can be compressed yet");
}

[[noreturn]] void fail_second_reader(const NetParameter& net, int layer, int first,
                                     const std::string& blob) {
  fail_branch(net.layer(layer),
              "reads blob '" + blob + "' beside layer '" + net.layer(first).name() + "'");
}

bool writes(const LayerParameter& layer, const std::string& blob) {
  return std::find(layer.top().begin(), layer.top().end(), blob) != layer.top().end();
}

/// The next layer of the chain after `from` that reads the blob, or kNone at the chain's end, where
/// heads may read it.
int next_layer(const NetParameter& net, int from, const std::string& blob) {
  int next = Span::kNone;
  int head = Span::kNone;
  for (int i = from + 1; i < net.layer_size(); ++i) {
    const LayerParameter& layer = net.layer(i);
    if (!reads(layer, blob) || layer.type() == "Silence") continue;
    if (next != Span::kNone) fail_second_reader(net, i, next, blob);
    if (is_head(layer)) {
      head = i;
      continue;
    }
    if (head != Span::kNone) fail_second_reader(net, head, i, blob);
    next = i;
    if (writes(layer, blob)) return next;  // what stands behind reads the new version
  }
  return next;
}

/// The top of a source (Data, Input, DummyData) that the chain starts from.
std::pair<int, std::string> find_start(const NetParameter& net) {
  std::pair<int, std::string> start{Span::kNone, ""};
  for (int i = 0; i < net.layer_size(); ++i) {
    if (net.layer(i).bottom_size() > 0) continue;
    for (const std::string& top : net.layer(i).top()) {
      if (next_layer(net, i, top) == Span::kNone) continue;
      if (start.first != Span::kNone) fail_branch(net.layer(i), "is a second input");
      start = {i, top};
    }
  }
  if (start.first == Span::kNone) fail("the net has no layer that reads its input");
  return start;
}

std::vector<int> find_chain(const NetParameter& net) {
  auto [layer, blob] = find_start(net);
  std::vector<int> chain;
  for (;;) {
    layer = next_layer(net, layer, blob);
    if (layer == Span::kNone) return chain;
    const LayerParameter& next = net.layer(layer);
    if (next.bottom_size() != 1 || next.top_size() != 1)
      fail_branch(next, "has " + std::to_string(next.bottom_size()) + " bottom(s) and " +
                            std::to_string(next.top_size()) + " top(s)");
    chain.push_back(layer);
    blob = next.top(0);
  }
}

void check_all_on_chain(const NetParameter& net, const std::vector<int>& chain) {
  for (int i = 0; i < net.layer_size(); ++i) {
    const LayerParameter& layer = net.layer(i);
    const bool on_chain = std::find(chain.begin(), chain.end(), i) != chain.end();
    if (!on_chain && layer.bottom_size() > 0 && !is_head(layer))
      fail_branch(layer, "stands beside the chain from the input to the scores");
  }
}

void finish(const NetParameter& net, Span span, std::vector<Span>* spans) {
  span.flatten_at = 0;
  while (span.flatten_at < span.inner.size() &&
         net.layer(span.inner[span.flatten_at]).type() != "Flatten")
    ++span.flatten_at;
  spans->push_back(std::move(span));
}

}  // namespace

std::string find_input(const NetParameter& net) { return find_start(net).second; }

std::vector<Span> find_spans(const NetParameter& net) {
  const std::vector<int> chain = find_chain(net);
  check_all_on_chain(net, chain);
  std::vector<Span> spans;
  Span span;
  span.is_input = true;
  for (const int layer : chain) {
    const Role role = rule_of(net.layer(layer)).role;
    if (role == Role::CHANNELWISE) {
      span.inner.push_back(layer);
      continue;
    }
    const bool is_mixer = role == Role::MIXER;
    (is_mixer ? span.consumer : span.wall_after) = layer;
    finish(net, std::move(span), &spans);
    span = Span();
    (is_mixer ? span.producer : span.wall_before) = layer;
  }
  finish(net, std::move(span), &spans);
  return spans;
}

}  // namespace vibnet
