#include <gflags/gflags.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <vector>

#include "core/gate_rule.h"
#include "core/stored_net.h"
#include "data/lmdb.h"
#include "input_shape.h"
#include "net/cost.h"
#include "net/deploy.h"
#include "net/filter.h"
#include "set_batch.h"
#include "table.h"
#include "tool.h"
#include "vibnet/error.h"
#include "vibnet/net.h"
#include "vibnet/proto_io.h"
#include "vibnet/registry.h"

DEFINE_string(input_shape, "",
              "the input's shape (1,3,224,224), for a prototxt whose data is not there");
DEFINE_bool(layers, false, "list the layers of this build and the devices they run on");

namespace {

using vibnet::LayerParameter;
using vibnet::NetParameter;
using vibnet::Shape;
using vibnet::StoredNet;
using vibnet::Table;

enum class Kind { LMDB, PROTOTXT, CAFFEMODEL };

/// LMDB's magic number stands behind its 16-byte page header.
bool is_lmdb(const std::string& start) {
  constexpr std::uint32_t kMagic = 0xBEEFC0DE;
  constexpr std::size_t kHeader = 16;
  std::uint32_t magic = 0;
  if (start.size() < kHeader + sizeof(magic)) return false;
  std::memcpy(&magic, start.data() + kHeader, sizeof(magic));
  return magic == kMagic;
}

bool is_text(const std::string& start) {
  const auto is_control = [](unsigned char c) {
    return c < ' ' && c != '\t' && c != '\n' && c != '\r';
  };
  return std::none_of(start.begin(), start.end(), is_control);
}

Kind kind_of(const std::string& path) {
  if (std::filesystem::is_directory(path)) return Kind::LMDB;
  std::ifstream file(path, std::ios::binary);
  if (!file) vibnet::fail(path, ": cannot be read: ", std::strerror(errno));
  std::string start(4096, '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(file.gcount()));
  if (start.empty()) vibnet::fail(path, ": is empty");
  if (is_lmdb(start)) return Kind::LMDB;
  return is_text(start) ? Kind::PROTOTXT : Kind::CAFFEMODEL;
}

/// "1x20x24x24".
std::string text_of(const Shape& shape) {
  std::string text;
  for (const int dimension : shape) text += (text.empty() ? "" : "x") + std::to_string(dimension);
  return text.empty() ? "1" : text;
}

/// All shapes, or the first ones where a Slice makes many.
std::string text_of(const std::vector<Shape>& shapes) {
  constexpr std::size_t kShown = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShown, shapes.size()); ++i)
    text += (text.empty() ? "" : " ") + text_of(shapes[i]);
  if (shapes.size() > kShown) text += " ... (" + std::to_string(shapes.size()) + ")";
  return text;
}

/// A count, or nothing where there is none.
std::string cell(double count) {
  return count > 0 ? std::to_string(static_cast<std::int64_t>(count)) : "";
}

std::string joined(const google::protobuf::RepeatedPtrField<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

/// The file that a data layer reads; empty for other layers.
std::string source_of(const LayerParameter& layer) {
  if (layer.type() == "Data") return layer.data_param().source();
  if (layer.type() == "ImageData") return layer.image_data_param().source();
  if (layer.type() == "HDF5Data") return layer.hdf5_data_param().source();
  return layer.type() == "WindowData" ? layer.window_data_param().source() : "";
}

/// The first data layer whose data is not there.
const LayerParameter* find_missing_data(const NetParameter& net) {
  for (const LayerParameter& layer : net.layer()) {
    const std::string source = source_of(layer);
    if (!source.empty() && !std::filesystem::exists(source)) return &layer;
  }
  return nullptr;
}

/// For a net that cannot be built: layers and blobs, no shapes.
void print_structure(const NetParameter& net) {
  Table table({"layer", "type", "from", "to"}, 4);
  for (const LayerParameter& layer : net.layer())
    table.add({layer.name(), layer.type(), joined(layer.bottom()), joined(layer.top())});
  table.print(std::cout);
}

void print_costs(const vibnet::NetCost& cost) {
  Table table({"layer", "type", "output", "weights", "parameters", "FLOPs"}, 3);
  for (const vibnet::LayerCost& layer : cost.layers)
    if (layer.type != "Split")
      table.add({layer.name, layer.type, text_of(layer.tops),
                 cell(static_cast<double>(layer.weights)),
                 cell(static_cast<double>(layer.parameters)), cell(layer.flops)});
  table.add({"all", "", "", std::to_string(cost.weights), std::to_string(cost.parameters),
             std::to_string(static_cast<std::int64_t>(cost.flops))});
  table.print(std::cout);
  std::cout << "activations: at most " << cost.activation_bytes << " bytes at once\n";
}

/// The net at batch 1, so that its FLOPs are one picture's; as it states its shapes where it works
/// on no other.
vibnet::Net make_net_of_one(const NetParameter& net, const std::string& path) {
  NetParameter of_one = net;
  vibnet::set_batch(1, &of_one);
  try {
    return vibnet::Net(of_one, vibnet::NetOptions());
  } catch (const vibnet::Error&) {
    return vibnet::make_net(net, path, vibnet::NetOptions());
  }
}

/// The net with an Input of --input_shape in place of its data.
NetParameter with_input_shape(const NetParameter& net, const std::string& path) {
  const std::vector<int> shape = vibnet::input_shape_flag(FLAGS_input_shape);
  const std::vector<std::string> inputs = vibnet::deployed_inputs(net);
  if (inputs.size() != 1)
    vibnet::fail(path, ": has ", inputs.size(), " inputs, and --input_shape states one");
  return vibnet::deploy_net(net, {{inputs[0], shape}});
}

void inspect_prototxt(const std::string& path) {
  const NetParameter model = vibnet::read_net_prototxt(path);
  vibnet::NetState state = model.state();
  state.set_phase(vibnet::TEST);
  NetParameter net = vibnet::filter_net(model, state);
  if (!FLAGS_input_shape.empty()) net = with_input_shape(net, path);
  std::cout << path << ": the prototxt of net '" << model.name() << "', TEST\n";
  if (const LayerParameter* data = find_missing_data(net)) {
    print_structure(net);
    std::cout << "shapes unknown: layer '" << data->name() << "' reads '" << source_of(*data)
              << "', which is not there; --input_shape states what it would make\n";
    return;
  }
  print_costs(vibnet::cost_of(make_net_of_one(net, path)));
}

/// "97 of 784", for a gate with its parameters.
std::string kept_units(const LayerParameter& layer, const StoredNet& stored) {
  if (!vibnet::is_gate(layer.type()) || layer.blobs_size() != vibnet::gate_blobs(layer.type()))
    return "";
  const std::int64_t units = StoredNet::value_count(layer.blobs(0));
  std::vector<std::vector<float>> values;
  std::vector<const float*> blobs;
  for (const vibnet::BlobProto& blob : layer.blobs()) {
    if (StoredNet::value_count(blob) != units) return "?";
    values.emplace_back(units);
    stored.read(blob, values.back().data());
    blobs.push_back(values.back().data());
  }
  const std::vector<bool> kept = vibnet::kept_units(
      vibnet::gate_units(layer, static_cast<int>(units), blobs), vibnet::gate_threshold(layer));
  return std::to_string(std::count(kept.begin(), kept.end(), true)) + " of " +
         std::to_string(units);
}

/// Without the 1s that Caffe's old files put in front to make four axes.
Shape shape_today(const vibnet::BlobProto& blob) {
  Shape shape = vibnet::shape_of(blob);
  const bool is_old = !blob.has_shape();
  while (is_old && shape.size() > 1 && shape[0] == 1) shape.erase(shape.begin());
  return shape;
}

void inspect_caffemodel(const std::string& path) {
  const StoredNet stored(path);
  const NetParameter& net = stored.net();
  std::cout << path << ": the weights of net '" << net.name() << "', "
            << std::filesystem::file_size(path) << " bytes\n";
  Table table({"layer", "type", "blobs", "kept", "weights", "parameters"}, 4);
  std::int64_t all_weights = 0;
  std::int64_t all_parameters = 0;
  for (const LayerParameter& layer : net.layer()) {
    std::vector<Shape> shapes;
    std::int64_t weights = 0;
    std::int64_t parameters = 0;
    for (const vibnet::BlobProto& blob : layer.blobs()) {
      const std::int64_t values = StoredNet::value_count(blob);
      shapes.push_back(shape_today(blob));
      parameters += values;
      if (shapes.back().size() > 1) weights += values;
    }
    table.add({layer.name(), layer.type(), text_of(shapes), kept_units(layer, stored),
               cell(static_cast<double>(weights)), cell(static_cast<double>(parameters))});
    all_weights += weights;
    all_parameters += parameters;
  }
  table.add({"all", "", "", "", std::to_string(all_weights), std::to_string(all_parameters)});
  table.print(std::cout);
}

std::string describe(const vibnet::Record& record) {
  vibnet::Datum datum;
  if (!datum.ParseFromArray(record.value.data(), static_cast<int>(record.value.size())))
    return std::to_string(record.value.size()) + " bytes, and no Datum";
  const std::string label = ", label " + std::to_string(datum.label());
  if (datum.encoded())
    return "an encoded picture of " + std::to_string(datum.data().size()) + " bytes" + label;
  return text_of(Shape{datum.channels(), datum.height(), datum.width()}) +
         (datum.float_data_size() > 0 ? " floats" : " bytes") + label;
}

void inspect_lmdb(const std::string& path) {
  vibnet::LmdbReader reader(path);
  std::cout << path << ": an LMDB of " << reader.size() << " records\n";
  Table table({"record", "holds"}, 2);
  const vibnet::Record first = reader.at(0);
  table.add({std::string(first.key), describe(first)});
  const vibnet::Record last = reader.at(reader.size() - 1);
  if (reader.size() > 1) table.add({std::string(last.key), describe(last)});
  table.print(std::cout);
}

void list_layers() {
  Table table({"layer", "devices"}, 2);
  for (const vibnet::RegisteredLayer& layer : vibnet::registered_layers()) {
    std::string devices;
    for (const vibnet::DeviceType device : layer.devices)
      devices += (devices.empty() ? "" : " ") + std::string(vibnet::name(device));
    table.add({layer.type, devices});
  }
  table.print(std::cout);
}

int inspect(const std::vector<std::string>& arguments) {
  if (arguments.empty() && !FLAGS_layers) throw vibnet::UsageError("needs a file; see --help");
  if (FLAGS_layers) list_layers();
  bool is_first = !FLAGS_layers;
  for (const std::string& path : arguments) {
    if (!is_first) std::cout << "\n";
    is_first = false;
    switch (kind_of(path)) {
      case Kind::LMDB:
        inspect_lmdb(path);
        break;
      case Kind::PROTOTXT:
        inspect_prototxt(path);
        break;
      case Kind::CAFFEMODEL:
        inspect_caffemodel(path);
        break;
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{
      "vibnet-inspect", "shows what a prototxt, caffemodel or LMDB holds",
      "vibnet-inspect FILE... [--input_shape 1,3,224,224] | --layers",
      "vibnet-inspect models/lenet5/train_val.prototxt lenet5.caffemodel mnist_test.lmdb"};
  return vibnet::run_tool(tool, argc, argv, inspect);
}
