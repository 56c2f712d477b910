#include <iostream>

#include "data/lmdb.h"
#include "data/readers.h"
#include "tool.h"

namespace {

int convert(const std::vector<std::string>& arguments) {
  if (arguments.size() != 3) throw vibnet::UsageError("needs IMAGES LABELS OUT.lmdb; see --help");
  vibnet::LmdbWriter writer(arguments[2]);
  const std::vector<vibnet::Datum> records = vibnet::read_idx(arguments[0], arguments[1]);
  for (std::size_t i = 0; i < records.size(); ++i)
    writer.put(vibnet::record_key(i), records[i].SerializeAsString());
  writer.finish();
  std::cout << arguments[2] << ": " << records.size() << " records\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{
      "vibnet-convert-mnist", "writes a pair of IDX files (MNIST's form, gzipped or not) as LMDB",
      "vibnet-convert-mnist IMAGES LABELS OUT.lmdb",
      "vibnet-convert-mnist train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz train.lmdb"};
  return vibnet::run_tool(tool, argc, argv, convert);
}
