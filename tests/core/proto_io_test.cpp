#include "vibnet/proto_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/error_of.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

namespace vibnet {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(ProtoIo, ANetPassesThroughBothFormsUnchanged) {
  const TemporaryFolder folder;
  NetParameter net;
  parse_prototxt(
      "name: 'n' layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'y' param { lr_mult: 0.1 "
      "} "
      "inner_product_param { num_output: 3 weight_filler { type: 'gaussian' std: 0.012345678 } } "
      "blobs { shape { dim: 3 } data: 0.1 data: -1e-30 data: 3e38 } }",
      "text", &net);
  write_prototxt(net, folder / "net.prototxt");
  write_binary(net, folder / "net.caffemodel");
  EXPECT_EQ(read_net_prototxt(folder / "net.prototxt").SerializeAsString(),
            net.SerializeAsString());
  EXPECT_EQ(read_caffemodel(folder / "net.caffemodel").SerializeAsString(),
            net.SerializeAsString());
}

TEST(ProtoIo, NamesFileLineAndColumn) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& text) {
    const std::string path = folder.write("net.prototxt", text);
    NetParameter net;
    const std::string message = error_of([&] { read_prototxt(path, &net); });
    EXPECT_THAT(message, StartsWith(path));
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message.substr(path.size());
  };
  EXPECT_THAT(error("name: 'n'\nlayer { nme: 'x' }"), StartsWith(":2:"));
  EXPECT_THAT(error("name: 'n'\nname: 'm'"), StartsWith(":2:"));
  EXPECT_THAT(error("layer { name: 'x'"), StartsWith(":1:"));
  EXPECT_THAT(error("layer {\n type: 3 }"), HasSubstr("3"));
  EXPECT_EQ(error(""), ": is empty");
}

TEST(ProtoIo, ADeviceIsNoFile) {
  EXPECT_EQ(error_of([] { read_file("/dev/zero"); }),
            "/dev/zero: is a device, and a file is needed");
}

TEST(ProtoIo, ReplacesAFileOrLeavesIt) {
  const TemporaryFolder folder;
  write_file(folder / "a", "old");
  write_file(folder / "a", "new");
  EXPECT_EQ(read_file(folder / "a"), "new");
  EXPECT_NE(error_of([&] { write_files({{folder / "a", "newer"}, {folder / "no/b", "x"}}); }), "");
  EXPECT_EQ(read_file(folder / "a"), "new");
  int files = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(folder.path()))
    ++files;
  EXPECT_EQ(files, 1) << "temporary files are left";
}

/// A newer net's layers, weights and fields, which this schema does not have.
TEST(ProtoIo, WhatIsNotKnownIsKept) {
  const TemporaryFolder folder;
  NetParameter net;
  parse_prototxt("name: 'n' layer { name: 'a' type: 'OfTheFuture' blobs { data: 1 data: 2 } }",
                 "text", &net);
  net.mutable_unknown_fields()->AddVarint(7000, 5);
  net.mutable_layer(0)->mutable_unknown_fields()->AddLengthDelimited(7001, "future");
  write_binary(net, folder / "net.caffemodel");
  const NetParameter again = read_caffemodel(folder / "net.caffemodel");
  EXPECT_EQ(again.SerializeAsString(), read_file(folder / "net.caffemodel"));
  EXPECT_EQ(again.layer(0).unknown_fields().field(0).length_delimited(), "future");
  write_prototxt(again, folder / "net.prototxt");
  EXPECT_EQ(read_net_prototxt(folder / "net.prototxt").layer(0).type(), "OfTheFuture");
}

/// Caffe's own bytes: parsed and serialized, they are the same.
TEST(ProtoIo, CaffesFileIsWrittenAsItWasRead) {
  const std::string path = source_dir() + "/tests/data/caffe/lenet_bn.caffemodel";
  const TemporaryFolder folder;
  write_binary(read_caffemodel(path), folder / "again.caffemodel");
  EXPECT_TRUE(read_file(folder / "again.caffemodel") == read_file(path));
}

TEST(ProtoIo, AnUpgradedFileIsReadAgainAsItWasWritten) {
  const std::string caffe = source_dir() + "/tests/data/caffe/";
  const TemporaryFolder folder;
  const NetParameter weights = read_caffemodel(caffe + "lenet_v1.caffemodel");
  write_binary(weights, folder / "v2.caffemodel");
  EXPECT_TRUE(read_caffemodel(folder / "v2.caffemodel").SerializeAsString() ==
              weights.SerializeAsString());
  const NetParameter model = read_net_prototxt(caffe + "lenet_v1.prototxt");
  write_prototxt(model, folder / "v2.prototxt");
  EXPECT_EQ(read_net_prototxt(folder / "v2.prototxt").SerializeAsString(),
            model.SerializeAsString());
}

}  // namespace
}  // namespace vibnet
