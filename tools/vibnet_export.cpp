#include <gflags/gflags.h>

#include <cstdint>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "export/to_onnx.h"
#include "input_shape.h"
#include "tool.h"
#include "vibnet/proto_io.h"

DEFINE_string(model, "", "the trained net's prototxt");
DEFINE_string(weights, "", "the trained net's caffemodel");
DEFINE_string(format, "onnx", "what to write; onnx is the one there is");
DEFINE_string(out, "", "the model to write");
DEFINE_string(
    input_shape, "",
    "the input's shape, batch first (1,3,224,224); without it the net's data is looked at");

namespace {

/// "data Nx1x28x28".
std::string describe(const onnx::ValueInfoProto& value) {
  std::string text = " " + value.name() + " ";
  const auto& dims = value.type().tensor_type().shape().dim();
  for (int i = 0; i < dims.size(); ++i)
    text += (i == 0 ? "" : "x") + (dims[i].has_dim_value()   ? std::to_string(dims[i].dim_value())
                                   : dims[i].has_dim_param() ? dims[i].dim_param()
                                                             : "?");
  return text;
}

void print(const onnx::ModelProto& model, std::size_t bytes) {
  std::cout << FLAGS_out << ": " << model.graph().node_size() << " nodes, " << bytes
            << " bytes; in:";
  for (const auto& input : model.graph().input()) std::cout << describe(input);
  std::cout << "; out:";
  for (const auto& output : model.graph().output()) std::cout << describe(output);
  std::cout << "\n";
}

int export_net(const std::vector<std::string>& arguments) {
  if (!arguments.empty()) throw vibnet::UsageError("knows no argument '" + arguments[0] + "'");
  vibnet::require_flag("model", FLAGS_model);
  vibnet::require_flag("weights", FLAGS_weights);
  vibnet::require_flag("out", FLAGS_out);
  if (FLAGS_format != "onnx")
    throw vibnet::UsageError("--format " + FLAGS_format + " is not known; there is onnx");
  for (const std::string& input : {FLAGS_model, FLAGS_weights})
    if (std::filesystem::weakly_canonical(input) == std::filesystem::weakly_canonical(FLAGS_out))
      throw vibnet::UsageError(FLAGS_out + " is read, and would be overwritten; give another name");
  const vibnet::ExportOptions options{vibnet::input_shape_flag(FLAGS_input_shape)};
  const onnx::ModelProto model =
      vibnet::to_onnx(vibnet::read_net_prototxt(FLAGS_model),
                      vibnet::read_caffemodel(FLAGS_weights), FLAGS_weights, options);
  const std::string bytes = vibnet::to_binary(model, FLAGS_out);
  vibnet::write_file(FLAGS_out, bytes);
  print(model, bytes.size());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{
      "vibnet-export", "writes a trained net in the form that other runtimes read",
      "vibnet-export --model M.prototxt --weights W.caffemodel --out M.onnx\n"
      "         [--format onnx] [--input_shape 1,3,224,224]",
      "vibnet-export --model small.deploy.prototxt --weights small.caffemodel --out small.onnx"};
  return vibnet::run_tool(tool, argc, argv, export_net);
}
