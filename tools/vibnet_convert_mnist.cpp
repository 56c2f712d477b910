#include <gflags/gflags.h>

#include "data/lmdb.h"
#include "data/readers.h"
#include "tool.h"
#include "write_records.h"

DEFINE_int32(classes, 10, "labels must be below this (62 for EMNIST)");

namespace {

int convert(const std::vector<std::string>& arguments) {
  if (arguments.size() != 3) throw vibnet::UsageError("needs IMAGES LABELS OUT.lmdb; see --help");
  const auto records = vibnet::read_idx(arguments[0], arguments[1], FLAGS_classes);
  return vibnet::write_records(arguments[2], records.size(), [&](std::size_t i) {
    return vibnet::NamedRecord{vibnet::record_key(i), records[i]};
  });
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{
      "vibnet-convert-mnist", "writes a pair of IDX files (MNIST's form, gzipped or not) as LMDB",
      "vibnet-convert-mnist IMAGES LABELS OUT.lmdb [--classes N]",
      "vibnet-convert-mnist train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz train.lmdb"};
  return vibnet::run_tool(tool, argc, argv, convert);
}
