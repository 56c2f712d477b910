#include <gflags/gflags.h>

#include <iostream>

#include "data/lmdb.h"
#include "data/readers.h"
#include "tool.h"

DEFINE_bool(cifar100, false, "the batches are CIFAR-100's; the fine labels are kept");

namespace {

int convert(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) throw vibnet::UsageError("needs OUT.lmdb BATCH.bin...; see --help");
  const auto kind = FLAGS_cifar100 ? vibnet::CifarKind::CIFAR100_FINE : vibnet::CifarKind::CIFAR10;
  vibnet::LmdbWriter writer(arguments[0]);
  std::size_t count = 0;
  for (std::size_t i = 1; i < arguments.size(); ++i)
    for (const vibnet::Datum& datum : vibnet::read_cifar(arguments[i], kind))
      writer.put(vibnet::record_key(count++), datum.SerializeAsString());
  writer.finish();
  std::cout << arguments[0] << ": " << count << " records\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{"vibnet-convert-cifar", "writes CIFAR's binary batches as LMDB",
                          "vibnet-convert-cifar OUT.lmdb BATCH.bin... [--cifar100]",
                          "vibnet-convert-cifar train.lmdb data_batch_1.bin data_batch_2.bin"};
  return vibnet::run_tool(tool, argc, argv, convert);
}
