#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

#include "support/tool_test.h"
#include "support/trained_net.h"
#include "support/write_lmdb.h"

namespace vibnet {
namespace {

const char* const kModel = R"(
layer { name: "data" type: "Data" top: "data" top: "label"
  data_param { source: "test.lmdb" backend: LMDB batch_size: 2 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
)";

class ExportTool : public ToolTest {
 protected:
  void SetUp() override {
    write("net.prototxt", kModel);
    const NetParameter deploy =
        net_of(input_of({1, 1, 2, 3}) +
               "layer { name: 'ip' type: 'InnerProduct' bottom: 'data' top: 'ip' "
               "inner_product_param { num_output: 5 } }");
    write_binary(random_weights(deploy, 1), folder_ / "net.caffemodel");
  }

  ToolResult run_export(std::vector<std::string> more) {
    more.insert(more.begin(), {"--model", "net.prototxt", "--weights", "net.caffemodel"});
    return run("vibnet-export", more);
  }
};

TEST_F(ExportTool, WritesAModel) {
  const ToolResult result =
      run_export({"--format", "onnx", "--out", "net.onnx", "--input_shape", "1,1,2,3"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  onnx::ModelProto model;
  read_binary(folder_ / "net.onnx", &model);
  EXPECT_EQ(model.graph().node_size(), 3);
  EXPECT_EQ(result.output, "net.onnx: 3 nodes, " + std::to_string(read("net.onnx").size()) +
                               " bytes; in: data Nx1x2x3; out: prob Nx5\n");
}

TEST_F(ExportTool, LearnsTheShapeFromTheData) {
  expect_error(run_export({"--out", "net.onnx"}), "--input_shape");
  EXPECT_FALSE(exists("net.onnx"));
  write_lmdb(folder_ / "test.lmdb", {make_datum(1, 2, 3, "abcdef", 0)});
  const ToolResult result = run_export({"--out", "net.onnx"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("in: data Nx1x2x3;"), std::string::npos) << result.output;
}

TEST_F(ExportTool, WrongFlags) {
  expect_error(run("vibnet-export", {}), "--model is missing", 2);
  expect_error(run_export({}), "--out is missing", 2);
  expect_error(run_export({"--out", "net.onnx", "--format", "tflite"}), "--format tflite", 2);
  for (const char* shape : {"1,x", "1,,2", "0,1", "-1,3", "1;2", "99999999999"})
    expect_error(run_export({"--out", "net.onnx", "--input_shape", shape}), "is no shape", 2);
  expect_error(run_export({"--out", "net.onnx", "more"}), "knows no argument 'more'", 2);
  expect_error(run_export({"--out", "./net.prototxt", "--input_shape", "1,1,2,3"}),
               "./net.prototxt is read", 2);
  EXPECT_FALSE(exists("net.onnx"));
  EXPECT_EQ(read("net.prototxt"), kModel);
}

TEST_F(ExportTool, BadWeights) {
  expect_error(run_export({"--out", "net.onnx", "--input_shape", "1,1,2,4"}),
               "net.caffemodel: layer 'ip' blob 0 is 5x6 (30), and 5x8 (40) is needed");
  write("net.caffemodel", "noise");
  expect_error(run_export({"--out", "net.onnx", "--input_shape", "1,1,2,3"}), "net.caffemodel: ");
  EXPECT_FALSE(exists("net.onnx"));
}

}  // namespace
}  // namespace vibnet
