#include "core/stored_net.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "support/error_of.h"
#include "support/temporary_folder.h"
#include "support/tool_test.h"
#include "vibnet/proto_io.h"

namespace vibnet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const char* const kNet = R"(name: 'n'
  layer { name: 'a' type: 'InnerProduct' inner_product_param { num_output: 2 }
    blobs { shape { dim: 2 dim: 2 } data: [1, 2, 3, 4] diff: [5, 5, 5, 5] }
    blobs { shape { dim: 2 } double_data: [6, 7] } }
  layer { name: 'b' type: 'ReLU' })";

std::string bytes_of(const char* text) {
  NetParameter net;
  parse_prototxt(text, "text", &net);
  return net.SerializeAsString();
}

std::vector<float> values_of(const StoredNet& net, const BlobProto& blob) {
  std::vector<float> values(StoredNet::value_count(blob));
  net.read(blob, values.data());
  return values;
}

TEST(StoredNet, HoldsTheNetAndReadsItsValues) {
  const TemporaryFolder folder;
  const StoredNet stored(folder.write("net.caffemodel", bytes_of(kNet)));
  const NetParameter& net = stored.net();
  EXPECT_EQ(net.name(), "n");
  ASSERT_EQ(net.layer_size(), 2);
  EXPECT_EQ(net.layer(0).inner_product_param().num_output(), 2u);
  EXPECT_EQ(net.layer(0).blobs(0).data_size(), 0);
  EXPECT_EQ(net.layer(0).blobs(0).diff_size(), 0);
  EXPECT_THAT(values_of(stored, net.layer(0).blobs(0)), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(values_of(stored, net.layer(0).blobs(1)), ElementsAre(6, 7));
}

/// Protobuf lets a writer put the values in several pieces, or each one apart.
TEST(StoredNet, ReadsEveryFormOfTheValues) {
  const TemporaryFolder folder;
  const auto file = [&](const std::string& blob) {
    NetParameter net;
    net.add_layer()->set_name("a");
    std::string bytes = net.SerializeAsString();
    const std::string field = std::string("\x3a") + static_cast<char>(blob.size()) + blob;
    bytes[2] = static_cast<char>(bytes[2] + field.size());  // behind the two bytes of layer's tag
    return folder.write("net.caffemodel", bytes + field);
  };
  const std::string one("\0\0\x80\x3f", 4);
  const std::string two("\0\0\0\x40", 4);
  const StoredNet pieces(file("\x2a\4" + one + "\x2a\x8" + two + one));
  EXPECT_THAT(values_of(pieces, pieces.net().layer(0).blobs(0)), ElementsAre(1, 2, 1));
  const StoredNet apart(file("\x2d" + one + "\x2d" + two));
  EXPECT_THAT(values_of(apart, apart.net().layer(0).blobs(0)), ElementsAre(1, 2));
  const StoredNet both(file("\x2d" + one + "\x2a\4" + two));
  EXPECT_THAT(error_of([&] { values_of(both, both.net().layer(0).blobs(0)); }),
              HasSubstr("in two forms"));
}

/// Whatever is cut off or changed: it is refused where the plain reader refuses it, and where not,
/// the same values are read.
TEST(StoredNet, RefusesWhatThePlainReaderRefuses) {
  const std::string whole = bytes_of(kNet);
  const TemporaryFolder folder;
  const auto expect_same = [&](const std::string& bytes) {
    const std::string path = folder.write("net.caffemodel", bytes);
    NetParameter plain;
    const std::string error = error_of([&] { plain = read_caffemodel(path); });
    if (!error.empty()) {
      EXPECT_EQ(error_of([&] { StoredNet{path}; }), error);
      return;
    }
    const StoredNet stored(path);
    ASSERT_EQ(stored.net().layer_size(), plain.layer_size());
    for (int l = 0; l < plain.layer_size(); ++l) {
      ASSERT_EQ(stored.net().layer(l).blobs_size(), plain.layer(l).blobs_size());
      for (int b = 0; b < plain.layer(l).blobs_size(); ++b) {
        const auto& data = plain.layer(l).blobs(b).data();
        const auto& blob = stored.net().layer(l).blobs(b);
        if (data.empty() || blob.data_at_size() == 0) continue;
        std::vector<float> values(StoredNet::value_count(blob));
        if (blob.data_size() > 0 || blob.double_data_size() > 0) continue;
        stored.read(blob, values.data());
        const std::string read(reinterpret_cast<const char*>(values.data()), 4 * values.size());
        EXPECT_EQ(read, std::string(reinterpret_cast<const char*>(data.data()), 4 * data.size()));
      }
    }
  };
  for (std::size_t size = 0; size < whole.size(); ++size) expect_same(whole.substr(0, size));
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const int flip : {0x01, 0x04, 0x80}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      expect_same(changed);
    }
}

class LargeFile : public ToolTest {};

/// One layer holds nearly all, and is as large as a net of its own would be.
TEST_F(LargeFile, LoadsInUnderTwiceItsSize) {
  constexpr int kSide = 8192;
  const std::string layer = "layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'y' ";
  const std::string parameter = "inner_product_param { num_output: " + std::to_string(kSide) +
                                " bias_term: false weight_filler { type: 'xavier' } } }";
  const std::string data =
      "layer { name: 'x' type: 'DummyData' top: 'x' dummy_data_param { shape { dim: 1 dim: " +
      std::to_string(kSide) + " } } }";
  write("net.prototxt", data + layer + parameter);
  write("solver.prototxt",
        "net: 'net.prototxt' lr_policy: 'fixed' base_lr: 0.1 max_iter: 0 test_iter: 1 "
        "test_interval: 1 snapshot_after_train: false");
  {
    NetParameter net;
    parse_prototxt(layer + parameter, "net", &net);
    BlobProto* blob = net.mutable_layer(0)->add_blobs();
    for (int i = 0; i < 2; ++i) blob->mutable_shape()->add_dim(kSide);
    blob->mutable_data()->Resize(kSide * kSide, 0.5f);
    write_binary(net, folder_ / "net.caffemodel");
  }
  const std::int64_t size = 4LL * kSide * kSide;
  const auto expect_small = [&](const ToolResult& result) {
    EXPECT_EQ(result.exit_code, 0) << result.errors;
    EXPECT_LT(result.peak_bytes, 2 * size) << result.output;
  };
  expect_small(run("vibnet-inspect", {"net.caffemodel"}));
  expect_small(run("vibnet-test", {"--model", "net.prototxt", "--weights", "net.caffemodel",
                                   "--iterations", "1"}));
  expect_small(run("vibnet-train", {"--solver", "solver.prototxt", "--weights", "net.caffemodel"}));
}

}  // namespace
}  // namespace vibnet
