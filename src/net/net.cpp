#include "vibnet/net.h"

#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "core/gpu_runtime.h"
#include "core/nan_field.h"
#include "layers/channel_pass.h"
#include "layers/gate_layer.h"
#include "math/parallel.h"
#include "net/blobs.h"
#include "net/filter.h"
#include "net/layer_set_up.h"
#include "net/shares.h"
#include "simd/kernels.h"
#include "vibnet/error.h"
#include "vibnet/proto_io.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

template <typename... Parts>
[[noreturn]] void fail_at(const LayerParameter& layer, const Parts&... parts) {
  fail(title(layer), ": ", parts...);
}

/// A bottom that nothing before it makes: says whether something after it does.
[[noreturn]] void fail_dangling(const NetParameter& net, const LayerParameter& layer,
                                const std::string& blob) {
  for (const LayerParameter& other : net.layer())
    for (const std::string& top : other.top())
      if (top == blob && &other != &layer)
        fail_at(layer, "bottom '", blob, "' is only made by layer '", other.name(),
                "', which stands after it: a cycle, or the wrong order");
  fail_at(layer, "bottom '", blob, "' is made by no layer");
}

void check_bottoms(const NetParameter& net) {
  std::set<std::string> made;
  for (const LayerParameter& layer : net.layer()) {
    for (const std::string& bottom : layer.bottom())
      if (made.count(bottom) == 0) fail_dangling(net, layer, bottom);
    made.insert(layer.top().begin(), layer.top().end());
  }
}

double mean_abs(const float* values, int count) {
  const double sum = parallel_sum(count, [&](std::int64_t begin, std::int64_t end) {
    double part = 0;
    for (std::int64_t i = begin; i < end; ++i) part += std::fabs(values[i]);
    return part;
  });
  return count == 0 ? 0 : sum / count;
}

ParamSpec spec_of(const LayerParameter& layer, int index) {
  return index < layer.param_size() ? layer.param(index) : ParamSpec();
}

}  // namespace

Net::Net(const NetParameter& parameter, const NetOptions& options)
    : name_(parameter.name()), debug_info_(parameter.debug_info()) {
  context_.phase = options.phase;
  context_.device = options.device;
  context_.seed = options.seed;
  context_.ranks = options.ranks;
  use_device(options.device);
  kernels();  // complains here of VIBNET_SIMD, and not in a loop that threads share

  NetState state = state_in(parameter, options.phase);
  if (options.level != 0) state.set_level(options.level);
  for (const std::string& stage : options.stages) state.add_stage(stage);
  const NetParameter filtered = filter_net(parameter, state);
  if (filtered.layer_size() == 0)
    fail("no layer is left in phase ", Phase_Name(options.phase), "; look at the include rules");
  check_bottoms(filtered);
  const NetParameter complete = insert_splits(filtered);
  for (const LayerParameter& layer : complete.layer()) append_layer(layer, options);
  check_names_of_weights();
  if (options.weights_of != nullptr) share_weights(*options.weights_of);
  find_backward_path(parameter.force_backward());
  find_outputs();
  if (options.ranks->size() > 1) check_shares(*this);

  pass_of_.resize(layers_.size());
  std::iota(pass_of_.begin(), pass_of_.end(), 0);
  passes_.resize(layers_.size());
  keeps_blobs_ = options.keeps_blobs || debug_info_;
  part_blobs_in_place();
  if (keeps_blobs_) return;
  fuse_layers();
  plan_memory();
}

Net::~Net() = default;

void Net::append_layer(const LayerParameter& parameter, const NetOptions& options) {
  const bool has_own =
      options.weights_of == nullptr || options.weights_of->layer(parameter.name()) == nullptr;
  context_.fills_parameters = options.fills_parameters && has_own;
  const std::string nan = nan_field(parameter);
  if (!nan.empty()) fail_at(parameter, nan, " is nan, and must be a number");
  LayerParameter completed = parameter;
  completed.set_phase(context_.phase);
  const int index = static_cast<int>(layers_.size());
  layers_.push_back(make_layer(completed, context_));
  Layer& layer = *layers_.back();
  check_count(parameter, parameter.bottom_size(), layer.bottom_count(), "bottom");
  bottoms_.emplace_back();
  for (int i = 0; i < parameter.bottom_size(); ++i)
    bottoms_.back().push_back(connect_bottom(parameter, i));
  tops_.emplace_back();
  const int tops = top_count(layer, parameter.top_size());
  check_count(parameter, tops, layer.top_count(), "top");
  for (int i = 0; i < tops; ++i) {
    const bool named = i < parameter.top_size();
    const std::string name =
        named ? parameter.top(i) : parameter.name() + "_top_" + std::to_string(i);
    tops_.back().push_back(connect_top(parameter, i, name));
  }

  if (auto* gate = dynamic_cast<GateLayer*>(&layer)) gates_.push_back(gate);
  set_up_layer(bottoms_[index], tops_[index], &layer);
  if (parameter.type() == "Input")
    input_names_.insert(input_names_.end(), parameter.top().begin(), parameter.top().end());
  set_loss_weights(parameter, index);
  append_parameters(parameter, index);
}

void Net::check_names_of_weights() const {
  std::set<std::string> names;
  for (const auto& layer : layers_)
    if (!layer->blobs().empty() && !names.insert(layer->name()).second)
      fail_at(layer->parameter(),
              "has the name of another layer with weights, and these are stored by name");
}

Blob* Net::connect_bottom(const LayerParameter& parameter, int index) {
  return blobs_.at(parameter.bottom(index)).get();
}

Blob* Net::connect_top(const LayerParameter& parameter, int index, const std::string& name) {
  const bool in_place = index < parameter.bottom_size() && parameter.bottom(index) == name;
  if (in_place && !layers_.back()->runs_in_place())
    fail_at(parameter, "cannot work in place; give the top a name of its own");
  if (in_place) return blobs_.at(name).get();
  auto& blob = blobs_[name];
  if (blob) fail_at(parameter, "top '", name, "' is made by another layer already");
  blob = std::make_unique<Blob>();
  blob_names_.push_back(name);
  return blob.get();
}

void Net::set_loss_weights(const LayerParameter& parameter, int layer) {
  const int tops = static_cast<int>(tops_[layer].size());
  if (parameter.loss_weight_size() > tops)
    fail_at(parameter, "has ", parameter.loss_weight_size(), " loss_weight for ", tops, " top(s)");
  loss_weights_.emplace_back();
  for (int top = 0; top < tops; ++top) {
    const float weight = top < parameter.loss_weight_size()
                             ? parameter.loss_weight(top)
                             : layers_[layer]->default_loss_weight(top);
    loss_weights_.back().push_back(weight);
    if (weight != 0) tops_[layer][top]->set_diff(weight);
  }
}

void Net::append_parameters(const LayerParameter& parameter, int layer) {
  const int count = static_cast<int>(layers_[layer]->blobs().size());
  if (parameter.param_size() > count)
    fail_at(parameter, "has ", parameter.param_size(), " param for ", count, " blob(s)");
  for (int i = 0; i < count; ++i) append_parameter(spec_of(parameter, i), layer, i);
}

void Net::append_parameter(const ParamSpec& spec, int layer, int index) {
  const LayerParameter& parameter = layers_[layer]->parameter();
  const float lr_mult = layers_[layer]->is_learnable(index) ? spec.lr_mult() : 0;
  layers_[layer]->set_learns(index, lr_mult != 0);
  if (spec.l1_decay() < 0) fail_at(parameter, "l1_decay: ", spec.l1_decay(), " cannot be negative");
  if (!spec.name().empty()) {
    const auto owner = owners_.find(spec.name());
    if (owner != owners_.end()) return share_parameter(spec, layer, index, owner->second);
    owners_[spec.name()] = {layer, index, static_cast<int>(parameters_.size())};
  }
  parameters_.push_back(
      {layers_[layer]->blobs()[index].get(), parameter.name() + "/" + std::to_string(index),
       lr_mult,
       spec.has_decay_mult() ? spec.decay_mult() : layers_[layer]->default_decay_mult(index),
       spec.l1_decay()});
}

void Net::share_parameter(const ParamSpec& spec, int layer, int index, const Owner& owner) {
  const LayerParameter& parameter = layers_[layer]->parameter();
  Blob& mine = *layers_[layer]->blobs()[index];
  const Blob& shared = *layers_[owner.layer]->blobs()[owner.blob];
  const bool fits = spec.share_mode() == ParamSpec::PERMISSIVE ? mine.count() == shared.count()
                                                               : mine.shape() == shared.shape();
  if (!fits)
    fail_at(parameter, "cannot share '", spec.name(), "': it is ", to_string(shared.shape()),
            " in layer '", layers_[owner.layer]->name(), "' and ", to_string(mine.shape()),
            " here");
  Parameter& learned = parameters_[owner.parameter];
  const ParamSpec owner_spec = spec_of(layers_[owner.layer]->parameter(), owner.blob);
  const auto agree = [&](bool both_say, float mine_says, float theirs, const char* field) {
    if (both_say && mine_says != theirs)
      fail_at(parameter, "shares '", spec.name(), "' with another ", field);
  };
  agree(spec.has_lr_mult() && owner_spec.has_lr_mult(), spec.lr_mult(), learned.lr_mult, "lr_mult");
  agree(spec.has_decay_mult() && owner_spec.has_decay_mult(), spec.decay_mult(), learned.decay_mult,
        "decay_mult");
  agree(spec.has_l1_decay() && owner_spec.has_l1_decay(), spec.l1_decay(), learned.l1_decay,
        "l1_decay");
  if (spec.has_lr_mult() && layers_[layer]->is_learnable(index)) learned.lr_mult = spec.lr_mult();
  if (spec.has_decay_mult()) learned.decay_mult = spec.decay_mult();
  if (spec.has_l1_decay()) learned.l1_decay = spec.l1_decay();
  mine.share_data(shared);
  mine.share_diff(shared);
}

void Net::find_backward_path(bool force) {
  const int count = static_cast<int>(layers_.size());
  std::map<const Blob*, bool> blob_needs;
  layer_needs_backward_.assign(count, force);
  propagate_down_.resize(count);
  for (int i = 0; i < count; ++i) {
    const LayerParameter& parameter = layers_[i]->parameter();
    const int bottoms = static_cast<int>(bottoms_[i].size());
    if (parameter.propagate_down_size() != 0 && parameter.propagate_down_size() != bottoms)
      fail_at(parameter, "has ", parameter.propagate_down_size(), " propagate_down for ", bottoms,
              " bottom(s)");
    bool needs = force;
    for (int b = 0; b < static_cast<int>(layers_[i]->blobs().size()); ++b) {
      if (force) layers_[i]->set_learns(b, true);  // frozen ones too, as in Caffe
      needs = needs || layers_[i]->learns(b);
    }
    for (int b = 0; b < bottoms; ++b) {
      bool down = blob_needs[bottoms_[i][b]] || (force && layers_[i]->has_gradient(b));
      if (parameter.propagate_down_size() != 0) down = parameter.propagate_down(b);
      propagate_down_[i].push_back(down && layers_[i]->has_gradient(b));
      needs = needs || propagate_down_[i].back();
    }
    layer_needs_backward_[i] = needs;
    for (const Blob* top : tops_[i]) blob_needs[top] = needs;
  }
  if (force) return;

  std::set<const Blob*> under_loss;
  for (int i = count - 1; i >= 0; --i) {
    bool leads_to_loss = false;
    for (std::size_t top = 0; top < tops_[i].size(); ++top)
      leads_to_loss =
          leads_to_loss || loss_weights_[i][top] != 0 || under_loss.count(tops_[i][top]) > 0;
    layer_needs_backward_[i] = layer_needs_backward_[i] && leads_to_loss;
    if (leads_to_loss) under_loss.insert(bottoms_[i].begin(), bottoms_[i].end());
  }
}

void Net::find_outputs() {
  std::set<const Blob*> read;
  for (std::size_t i = 0; i < layers_.size(); ++i)
    for (const Blob* bottom : bottoms_[i])
      if (!contains(tops_[i], bottom)) read.insert(bottom);
  for (const std::string& name : blob_names_)
    if (read.count(blobs_.at(name).get()) == 0) output_names_.push_back(name);
}

int Net::last_of_pass(int first) const {
  if (passes_[first] == nullptr) return first;
  return first + static_cast<int>(passes_[first]->layers().size()) - 1;
}

/// A loss of another shape has its weight in its diff again.
void Net::reshape_layer(int index) {
  const Blobs& tops = tops_[index];
  const std::vector<float>& weights = loss_weights_[index];
  if (std::all_of(weights.begin(), weights.end(), [](float weight) { return weight == 0; }))
    return layers_[index]->reshape(bottoms_[index], tops);
  std::vector<int> counts;
  for (const Blob* top : tops) counts.push_back(top->count());
  layers_[index]->reshape(bottoms_[index], tops);
  for (std::size_t top = 0; top < tops.size(); ++top)
    if (weights[top] != 0 && tops[top]->count() != counts[top]) tops[top]->set_diff(weights[top]);
}

void Net::forward_layer(int index) try {
  if (pass_of_[index] != index) return;
  const int last = last_of_pass(index);
  for (int i = index; i <= last; ++i) reshape_layer(i);
  if (passes_[index] != nullptr)
    passes_[index]->forward(bottoms_[index], tops_[last]);
  else
    layers_[index]->forward(bottoms_[index], tops_[index]);
  if (debug_info_) log_forward(index);
} catch (const GpuOutOfMemory& error) {
  explain(error, index);
}

float Net::forward() {
  double loss = 0;
  for (int i = 0; i < static_cast<int>(layers_.size()); ++i) {
    forward_layer(i);
    for (std::size_t top = 0; top < tops_[i].size(); ++top) {
      if (loss_weights_[i][top] == 0) continue;
      const float* values = tops_[i][top]->cpu_data();
      for (int v = 0; v < tops_[i][top]->count(); ++v) loss += loss_weights_[i][top] * values[v];
    }
    if (context_.phase == TRAIN) loss += layers_[i]->penalty();
  }
  check();
  return static_cast<float>(loss);
}

std::vector<Net::Loss> Net::losses() const {
  std::vector<Loss> losses;
  for (std::size_t i = 0; i < layers_.size(); ++i)
    for (std::size_t top = 0; top < tops_[i].size(); ++top)
      if (loss_weights_[i][top] != 0) losses.push_back({tops_[i][top], loss_weights_[i][top]});
  return losses;
}

void Net::check() {
  for (std::size_t i = 0; i < layers_.size(); ++i) layers_[i]->check(bottoms_[i]);
}

void Net::backward_layer(int index) try {
  if (!layer_needs_backward_[index] || pass_of_[index] != index) return;
  if (passes_[index] != nullptr)
    passes_[index]->backward(tops_[last_of_pass(index)], propagate_down_[index],
                             *bottoms_[index][0], bottoms_[index]);
  else
    layers_[index]->backward(tops_[index], propagate_down_[index], bottoms_[index]);
  if (debug_info_) log_backward(index);
} catch (const GpuOutOfMemory& error) {
  explain(error, index);
}

void Net::backward() {
  CHECK(keeps_blobs_ || context_.phase == TRAIN) << "a TEST net that keeps no blobs";
  for (int i = static_cast<int>(layers_.size()) - 1; i >= 0; --i) backward_layer(i);
}

void Net::clear_gradients() {
  for (const Parameter& parameter : parameters_) parameter.blob->clear_diff();
}

void Net::reshape() {
  for (int i = 0; i < static_cast<int>(layers_.size()); ++i) reshape_layer(i);
  if (!keeps_blobs_) plan_memory();
}

Layer* Net::layer(const std::string& name) const {
  for (const auto& layer : layers_)
    if (layer->name() == name) return layer.get();
  return nullptr;
}

Blob* Net::blob(const std::string& name) const {
  const auto found = blobs_.find(name);
  return found == blobs_.end() ? nullptr : found->second.get();
}

std::vector<std::pair<std::string, double>> Net::outputs() const {
  std::vector<std::pair<std::string, double>> values;
  for (const std::string& name : output_names_) {
    const Blob& blob = *this->blob(name);
    for (int i = 0; i < blob.count(); ++i)
      values.emplace_back(blob.count() == 1 ? name : name + "[" + std::to_string(i) + "]",
                          blob.cpu_data()[i]);
  }
  return values;
}

void Net::log_forward(int layer) const {
  for (const Blob* top : tops_[layer])
    LOG(INFO) << "    [Forward] Layer " << layers_[layer]->name() << ", top blob "
              << to_string(top->shape()) << " data: " << mean_abs(top->cpu_data(), top->count());
}

void Net::log_backward(int layer) const {
  for (std::size_t i = 0; i < bottoms_[layer].size(); ++i) {
    if (!propagate_down_[layer][i]) continue;
    const Blob& bottom = *bottoms_[layer][i];
    LOG(INFO) << "    [Backward] Layer " << layers_[layer]->name() << ", bottom blob "
              << to_string(bottom.shape())
              << " diff: " << mean_abs(bottom.cpu_diff(), bottom.count());
  }
  for (std::size_t i = 0; i < layers_[layer]->blobs().size(); ++i) {
    const Blob& blob = *layers_[layer]->blobs()[i];
    LOG(INFO) << "    [Backward] Layer " << layers_[layer]->name() << ", param blob " << i
              << " diff: " << mean_abs(blob.cpu_diff(), blob.count());
  }
}

Net make_net(const NetParameter& parameter, const std::string& source, const NetOptions& options) {
  try {
    return Net(parameter, options);
  } catch (const Error& error) {
    fail(source, ": ", error.what());
  }
}

}  // namespace vibnet
