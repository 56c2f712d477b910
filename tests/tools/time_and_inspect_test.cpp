// vibnet-time and vibnet-inspect as a user runs them.

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <string>

#include "support/paths.h"
#include "support/tool_test.h"
#include "support/write_lmdb.h"

namespace vibnet {
namespace {

const std::string kCaffe = source_dir() + "/tests/data/caffe/";

const char* const kNet = R"(name: "tiny"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 2 dim: 5 dim: 5 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
)";

class TimeTool : public ToolTest {
 protected:
  void SetUp() override { write("net.prototxt", kNet); }
  ToolResult time(std::vector<std::string> more) {
    more.insert(more.begin(), {"--model", "net.prototxt", "--iterations", "3"});
    return run("vibnet-time", more);
  }
};

TEST_F(TimeTool, PrintsOneJsonObject) {
  const ToolResult result = time({"--phase", "TRAIN", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  google::protobuf::Struct json;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(result.output, &json).ok())
      << result.output;
  for (const char* name : {"forward_ms", "backward_ms", "forward_backward_ms"}) {
    ASSERT_EQ(json.fields().count(name), 1u) << name;
    EXPECT_GT(json.fields().at(name).number_value(), 0) << name;
  }
  // At least data, conv and ip of 4 samples, and the parameters.
  EXPECT_GE(json.fields().at("peak_blob_bytes").number_value(), 4 * (4 * (50 + 27 + 7) + 54 + 189));
  EXPECT_EQ(json.fields().at("layers").list_value().values_size(), 3);
}

TEST_F(TimeTool, NamesTheFirstOfLayersThatRunAsOne) {
  write("net.prototxt", std::string(kNet) + R"(
layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
layer { name: "tanh" type: "TanH" bottom: "ip" top: "ip" }
layer { name: "elu" type: "ELU" bottom: "ip" top: "ip" }
)");
  const ToolResult json = time({"--json"});
  for (const char* with :
       {"\"type\": \"ReLU\", \"with\": \"ip\"", "\"type\": \"ELU\", \"with\": \"tanh\""})
    EXPECT_NE(json.output.find(with), std::string::npos) << json.output;
  EXPECT_EQ(json.output.find("\"with\": \"conv\""), std::string::npos) << json.output;
  EXPECT_NE(time({}).output.find("with tanh"), std::string::npos);
}

TEST_F(TimeTool, ALargerBatchTakesMoreMemory) {
  const auto peak = [&](const char* batch, const char* of) {
    google::protobuf::Struct json;
    const ToolResult result = time({"--batch", batch, "--json"});
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(result.output, &json).ok());
    return json.fields().at(of).number_value();
  };
  EXPECT_GT(peak("640", "peak_blob_bytes"), 8 * peak("1", "peak_blob_bytes"));
  // What Linux counts: at least conv's results.
  EXPECT_GT(peak("64000", "peak_bytes"), 64000 * 4 * 27);
}

TEST_F(TimeTool, WrongFlagsAndNets) {
  expect_error(run("vibnet-time", {}), "--model is missing", 2);
  expect_error(time({"--phase", "LEARN"}), "--phase is TRAIN or TEST", 2);
  expect_error(time({"--iterations", "0"}), "--iterations must be 1 or more", 2);
  expect_error(time({"--device", "tpu"}), "device 'tpu' is not known", 2);
  expect_error(time({"--device", "gpu:99"}), "device gpu:99: this ");
  expect_error(run("vibnet-time", {"--model", "gone"}), "gone: cannot be read");
  write("net.prototxt", "");
  expect_error(time({}), "net.prototxt: is empty");
  write("net.prototxt", std::string(kNet) + "layer { name: \"x\" type: \"Relu\" bottom: \"ip\" }");
  expect_error(time({}), "net.prototxt: layer 'x': type 'Relu' is not known; did you mean ReLU");
}

class InspectTool : public ToolTest {
 protected:
  ToolResult inspect(const std::string& file) { return run("vibnet-inspect", {file}); }
  /// The cells of the output's line that begins with this word.
  static std::vector<std::string> row(const ToolResult& result, const std::string& word) {
    for (const std::string& line : lines_of(result.output)) {
      std::istringstream stream(line);
      std::vector<std::string> cells;
      for (std::string cell; stream >> cell;) cells.push_back(cell);
      if (!cells.empty() && cells[0] == word) return cells;
    }
    ADD_FAILURE() << "no row " << word << " in\n" << result.output;
    return {};
  }
};

using Row = std::vector<std::string>;

TEST_F(InspectTool, CountsAPrototxt) {
  write("net.prototxt", kNet);
  const ToolResult result = inspect("net.prototxt");
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(row(result, "conv"), (Row{"conv", "Convolution", "1x3x3x3", "54", "57", "972"}));
  EXPECT_EQ(row(result, "ip"), (Row{"ip", "InnerProduct", "1x7", "189", "196", "378"}));
  EXPECT_EQ(row(result, "all"), (Row{"all", "243", "253", "1350"}));
}

TEST_F(InspectTool, ReadsWhatCaffeWrote) {
  const ToolResult result = inspect(kCaffe + "lenet_v1.caffemodel");
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("layer"), std::string::npos);
  const ToolResult lmdb = inspect(kCaffe + "t10k_first500.lmdb");
  ASSERT_EQ(lmdb.exit_code, 0) << lmdb.errors;
  EXPECT_NE(lmdb.output.find("an LMDB of 500 records"), std::string::npos) << lmdb.output;
  EXPECT_NE(lmdb.output.find("1x28x28 bytes, label 7"), std::string::npos) << lmdb.output;
}

TEST_F(InspectTool, CountsWhatGatesKeep) {
  NetParameter weights;
  parse_prototxt(R"(
    layer { name: 'ib' type: 'InformationBottleneck' information_bottleneck_param { threshold: -1 }
            blobs { shape { dim: 3 } data: [1, 2, 0] }
            blobs { shape { dim: 3 } data: [-2, 1, -9] } }
    layer { name: 'gate' type: 'HardConcrete'
            blobs { shape { dim: 4 } data: [-2.5, -2.3, 0, 5] } })",
                 "weights", &weights);
  write("w.caffemodel", weights.SerializeAsString());
  const ToolResult result = inspect("w.caffemodel");
  ASSERT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_NE(result.output.find("1 of 3"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("3 of 4"), std::string::npos) << result.output;
}

TEST_F(InspectTool, ANetWhoseDataIsMissingShowsItsStructure) {
  write("net.prototxt",
        "layer { name: 'd' type: 'Data' top: 'data' data_param { source: 'gone' backend: LMDB } }"
        "layer { name: 'r' type: 'ReLU' bottom: 'data' top: 'data' }");
  const ToolResult result = inspect("net.prototxt");
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  EXPECT_EQ(row(result, "r"), (Row{"r", "ReLU", "data", "data"}));
  EXPECT_NE(result.output.find("'gone', which is not there"), std::string::npos);
  const ToolResult stated = run("vibnet-inspect", {"net.prototxt", "--input_shape", "1,3,4,5"});
  EXPECT_EQ(stated.exit_code, 0) << stated.errors;
  EXPECT_EQ(row(stated, "r"), (Row{"r", "ReLU", "1x3x4x5"}));
}

TEST_F(InspectTool, KeepsStatedShapesWhoseFirstAxesAreNoBatch) {
  for (const char* net : {"lstm_static", "scale_two_bottoms", "slice_axis0", "parameter"}) {
    const ToolResult result =
        inspect(source_dir() + "/tests/data/golden/" + std::string(net) + ".prototxt");
    EXPECT_EQ(result.exit_code, 0) << result.errors;
  }
}

TEST_F(InspectTool, ListsTheLayers) {
  const ToolResult result = run("vibnet-inspect", {"--layers"});
  EXPECT_EQ(result.exit_code, 0) << result.errors;
  for (const char* type : {"Convolution", "HardConcrete", "InformationBottleneck"})
    EXPECT_EQ(row(result, type).at(1), "CPU");
}

TEST_F(InspectTool, BadFiles) {
  expect_error(run("vibnet-inspect", {}), "needs a file", 2);
  expect_error(inspect("gone"), "gone: cannot be read");
  write("empty", "");
  expect_error(inspect("empty"), "empty: is empty");
  write("noise", std::string("\x01\xff\x9c random", 10));
  expect_error(inspect("noise"), "noise: ");
  write("text", "layer { nme: 'x' }");
  expect_error(inspect("text"), "text:1:");
  const std::string whole = read_file(kCaffe + "lenet_v1.caffemodel");
  write("cut", whole.substr(0, whole.size() / 3));
  expect_error(inspect("cut"), "cut: ");
  std::filesystem::create_directory(folder_ / "folder");
  expect_error(inspect("folder"), "folder");
}

}  // namespace
}  // namespace vibnet
