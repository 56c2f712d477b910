#include "vibnet/proto_io.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <future>

#include "support/error_of.h"
#include "support/paths.h"
#include "support/temporary_folder.h"

namespace vibnet {
namespace {

using testing::AllOf;
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

/// Protobuf itself names the place of the token behind a wrong value, and not what would be right.
TEST(ProtoIo, SaysWhichValuesAFieldTakes) {
  const auto error = [](const std::string& text, auto message) {
    return error_of([&] { parse_prototxt(text, "file", &message); });
  };
  const auto solver = [&](const std::string& text) { return error(text, SolverParameter()); };
  EXPECT_EQ(solver("base_lr: 1\nkl_cost: flops\nmax_iter: 1"),
            "file:2:10: Unknown enumeration value of \"flops\" for field \"kl_cost\"; it takes "
            "UNITS, WEIGHTS or FLOPS");
  EXPECT_THAT(solver("kl_cost: 7 # x"), StartsWith("file:1:10: Unknown enumeration value"));
  EXPECT_EQ(solver("kl_cost: 'FLOPS'"),
            "file:1:10: Expected integer or identifier, got: 'FLOPS'; it takes UNITS, WEIGHTS or "
            "FLOPS");
  EXPECT_EQ(solver("test_initialization: no\n\nmax_iter: 1"),
            "file:1:22: Invalid value for boolean field \"test_initialization\". Value: \"no\"; it "
            "takes true or false");
  const auto net = [&](const std::string& text) { return error(text, NetParameter()); };
  EXPECT_THAT(net("layer { eltwise_param < operation: SUM >\nreduction_param { operation: sum\n}}"),
              AllOf(StartsWith("file:2:30:"), HasSubstr("it takes SUM, ASUM, SUMSQ or MEAN")));
  EXPECT_THAT(net("layers { type: Convolution }"), HasSubstr("did you mean CONVOLUTION"));
}

TEST(ProtoIo, AShapeThatCannotBeIsNamed) {
  const TemporaryFolder folder;
  NetParameter net;
  parse_prototxt("layer { name: 'ip' blobs {} blobs { shape { dim: -30 dim: 2 } } }", "text", &net);
  write_binary(net, folder / "net.caffemodel");
  EXPECT_EQ(error_of([&] { read_caffemodel(folder / "net.caffemodel"); }),
            (folder / "net.caffemodel") + ": layer 'ip' blob 1: a blob's dimension cannot be -30");
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

TEST(ProtoIo, ALinkStaysAndTheFileBehindItIsReplaced) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "far");
  write_file(folder / "far/file", "old");
  std::filesystem::create_symlink("far/file", folder / "link");
  std::filesystem::create_symlink("link", folder / "link_to_link");
  std::filesystem::create_symlink("far/none", folder / "dangling");
  write_file(folder / "link_to_link", "new");
  write_files({{folder / "dangling", "first"}});
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link_to_link"));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "dangling"));
  EXPECT_EQ(read_file(folder / "far/file"), "new");
  EXPECT_EQ(read_file(folder / "far/none"), "first");
  std::filesystem::create_symlink("circle", folder / "circle");
  EXPECT_EQ(error_of([&] { write_file(folder / "circle", "x"); }),
            (folder / "circle") + ": cannot be written: Too many levels of symbolic links");
}

TEST(ProtoIo, APipeIsWrittenInto) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  const auto read = [&] { return read_file(folder / "pipe"); };
  auto bytes = std::async(std::launch::async, read);
  write_file(folder / "pipe", "bytes");
  EXPECT_EQ(bytes.get(), "bytes");
  bytes = std::async(std::launch::async, read);
  write_files({{folder / "file", "a"}, {folder / "pipe", "b"}});
  EXPECT_EQ(bytes.get(), "b");
  EXPECT_EQ(read_file(folder / "file"), "a");
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe"));
}

TEST(ProtoIo, APipeThatNobodyReadsOnIsAnErrorAndNoFileIsReplaced) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  write_file(folder / "file", "old");
  const auto reader = std::async(std::launch::async, [&] {
    const int descriptor = open((folder / "pipe").c_str(), O_RDONLY);
    close(descriptor);
  });
  const std::string more_than_a_pipe_holds(1 << 20, 'x');
  EXPECT_EQ(error_of([&] {
              write_files({{folder / "file", "new"}, {folder / "pipe", more_than_a_pipe_holds}});
            }),
            (folder / "pipe") + ": cannot be written: Broken pipe");
  EXPECT_EQ(read_file(folder / "file"), "old");
  EXPECT_FALSE(std::filesystem::exists(folder / ("file.tmp" + std::to_string(getpid()))));
}

TEST(ProtoIo, ADeviceIsWrittenInto) {
  const TemporaryFolder folder;
  const std::string null = folder / "null";
  const std::string full = folder / "full";
  const bool are_made = mknod(null.c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0 &&
                        mknod(full.c_str(), S_IFCHR | 0600, makedev(1, 7)) == 0;
  if (!are_made || access(null.c_str(), W_OK) != 0) GTEST_SKIP() << "no devices can be made here";
  write_file(null, "bytes");
  write_files({{null, "bytes"}, {folder / "file", "old"}});
  EXPECT_EQ(error_of([&] {
              write_files({{folder / "file", "new"}, {full, "bytes"}});
            }),
            full + ": cannot be written: No space left on device");
  EXPECT_TRUE(std::filesystem::is_character_file(null));
  EXPECT_TRUE(std::filesystem::is_character_file(full));
  EXPECT_EQ(read_file(folder / "file"), "old");
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
