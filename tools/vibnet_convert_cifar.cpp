#include <gflags/gflags.h>

#include <iterator>

#include "data/lmdb.h"
#include "data/readers.h"
#include "tool.h"
#include "write_records.h"

DEFINE_bool(cifar100, false, "the batches are CIFAR-100's; the fine labels are kept");

namespace {

/// As Caffe's convert_cifar_data writes them.
constexpr std::size_t kKeyDigits = 5;

int convert(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) throw vibnet::UsageError("needs OUT.lmdb BATCH.bin...; see --help");
  const auto kind = FLAGS_cifar100 ? vibnet::CifarKind::CIFAR100_FINE : vibnet::CifarKind::CIFAR10;
  std::vector<vibnet::Datum> records;
  for (std::size_t file = 1; file < arguments.size(); ++file) {
    auto batch = vibnet::read_cifar(arguments[file], kind);
    std::move(batch.begin(), batch.end(), std::back_inserter(records));
  }
  return vibnet::write_records(arguments[0], records.size(), [&](std::size_t i) {
    return vibnet::NamedRecord{vibnet::record_key(i, kKeyDigits), records[i]};
  });
}

}  // namespace

int main(int argc, char** argv) {
  const vibnet::Tool tool{"vibnet-convert-cifar", "writes CIFAR's binary batches as LMDB",
                          "vibnet-convert-cifar OUT.lmdb BATCH.bin... [--cifar100]",
                          "vibnet-convert-cifar train.lmdb data_batch_1.bin data_batch_2.bin"};
  return vibnet::run_tool(tool, argc, argv, convert);
}
