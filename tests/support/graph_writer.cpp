#include "support/graph_writer.h"

#include <memory>
#include <set>

#include "support/trained_net.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

/// The shapes of the tops that the one layer of this prototxt makes of bottoms of these shapes.
std::vector<Shape> top_shapes(const std::string& prototxt, const Streams& bottoms) {
  const LayerParameter parameter = net_of(prototxt).layer(0);
  Context context;
  context.phase = TEST;
  context.fills_parameters = false;
  std::vector<Blob> blobs(bottoms.size() + parameter.top_size());
  Blobs bottom;
  Blobs top;
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    if (i < bottoms.size()) blobs[i].reshape(bottoms[i].shape);
    (i < bottoms.size() ? bottom : top).push_back(&blobs[i]);
  }
  const std::unique_ptr<Layer> layer = make_layer(parameter, context);
  layer->set_up(bottom, top);
  layer->reshape(bottom, top);
  std::vector<Shape> shapes;
  for (const Blob* blob : top) shapes.push_back(blob->shape());
  return shapes;
}

/// Types whose tops may lie in their bottom's memory.
bool is_view(const std::string& type) {
  static const std::set<std::string> kViews = {"Concat", "Flatten", "Reshape", "Slice", "Split"};
  return kViews.count(type) > 0;
}

}  // namespace

std::string GraphWriter::name_for(const std::string& type) {
  last_layer_ = type + "_" + std::to_string(++layers_);
  return last_layer_;
}

std::vector<Shape> GraphWriter::write(const std::string& type, const std::string& parameter,
                                      const Streams& bottoms,
                                      const std::vector<std::string>& tops) {
  std::string layer = "layer { name: '" + last_layer_ + "' type: '" + type + "'";
  for (const Stream& bottom : bottoms) layer += " bottom: '" + bottom.name + "'";
  for (const std::string& top : tops) layer += " top: '" + top + "'";
  layer += (parameter.empty() ? "" : " " + parameter) + (rule_.empty() ? "" : " " + rule_) + " }\n";
  text_ += layer;
  return top_shapes(layer, bottoms);
}

Stream GraphWriter::add_input(const Shape& shape) {
  std::string parameter = "input_param { shape {";
  for (const int dimension : shape) parameter += " dim: " + std::to_string(dimension);
  return add("Input", parameter + " } }", {})[0];
}

Streams GraphWriter::add(const std::string& type, const std::string& parameter,
                         const Streams& bottoms, int tops) {
  const std::string name = name_for(type);
  std::vector<std::string> names = {name};
  for (int i = 1; i < tops; ++i) names.push_back(name + "_" + std::to_string(i));
  if (tops == 0) names.clear();
  const std::vector<Shape> shapes = write(type, parameter, bottoms, names);
  for (const Stream& bottom : bottoms) may_overwrite_[bottom.name] = false;
  Streams streams;
  for (int i = 0; i < tops; ++i) {
    may_overwrite_[names[i]] = !is_view(type) && parameter.find("loss_weight") == std::string::npos;
    streams.push_back({names[i], shapes[i]});
  }
  return streams;
}

Stream GraphWriter::add_in_place(const std::string& type, const std::string& parameter,
                                 const Stream& bottom) {
  name_for(type);
  write(type, parameter, {bottom}, {bottom.name});
  return bottom;
}

Stream GraphWriter::add_by_phase(const std::string& in_train, const std::string& in_test,
                                 const Stream& bottom) {
  const std::string top = name_for(in_train);
  write(in_train, "include { phase: TRAIN }", {bottom}, {top});
  name_for(in_test);
  write(in_test, "include { phase: TEST }", {bottom}, {top});
  may_overwrite_[bottom.name] = false;
  may_overwrite_[top] = true;
  return {top, bottom.shape};
}

bool GraphWriter::may_overwrite(const Stream& stream) const {
  return may_overwrite_.at(stream.name);
}

}  // namespace vibnet
