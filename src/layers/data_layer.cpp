#include "layers/data_layer.h"

#include "data/datum.h"
#include "data/lmdb.h"
#include "vibnet/registry.h"

namespace vibnet {
namespace {

class LmdbRecords : public RecordSource {
 public:
  LmdbRecords(const std::string& path, const TransformationParameter& transform)
      : reader_(path), transform_(transform) {}

  std::int64_t size() const override { return reader_.size(); }
  std::string name_of(std::int64_t position) override {
    return vibnet::name_of(reader_.at(position), reader_.path());
  }
  void read(std::int64_t position, Datum* datum) override {
    read_datum(reader_.at(position), transform_, reader_.path(), datum);
  }

 private:
  LmdbReader reader_;
  const TransformationParameter& transform_;
};

}  // namespace

std::unique_ptr<RecordSource> DataLayer::open() {
  const DataParameter& parameter = parameter_.data_param();
  if (parameter.source().empty()) fail("data_param has no source");
  if (parameter.has_backend() && parameter.backend() != DataParameter::LMDB)
    fail("reads LMDB, and backend says LEVELDB; convert the data and set backend: LMDB");
  return std::make_unique<LmdbRecords>(parameter.source(), parameter_.transform_param());
}

RecordLayer::Reading DataLayer::reading() const {
  const DataParameter& parameter = parameter_.data_param();
  return {parameter.shuffle(), parameter.rand_skip(), parameter.prefetch()};
}

REGISTER_LAYER(Data, CPU, DataLayer);

}  // namespace vibnet
