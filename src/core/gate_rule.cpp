#include "core/gate_rule.h"

namespace vibnet {

bool is_gate(const std::string& type) { return gate_blobs(type) > 0; }

int gate_blobs(const std::string& type) {
  if (type == "InformationBottleneck") return 2;
  return type == "HardConcrete" ? 1 : 0;
}

std::vector<GateUnit> gate_units(const LayerParameter& layer, int units,
                                 const std::vector<const float*>& blobs) {
  std::vector<GateUnit> all;
  all.reserve(units);
  for (int c = 0; c < units; ++c)
    all.push_back(layer.type() == "HardConcrete"
                      ? hard_concrete_unit(layer.hard_concrete_param().left(),
                                           layer.hard_concrete_param().right(), blobs[0][c])
                      : bottleneck_unit(blobs[0][c], blobs[1][c]));
  return all;
}

std::vector<GateUnit> gate_units(const LayerParameter& layer) {
  std::vector<const float*> blobs;
  for (const BlobProto& blob : layer.blobs()) blobs.push_back(blob.data().data());
  return gate_units(layer, layer.blobs(0).data_size(), blobs);
}

float gate_threshold(const LayerParameter& layer) {
  return layer.type() == "HardConcrete" ? 0 : layer.information_bottleneck_param().threshold();
}

std::vector<bool> kept_units(const std::vector<GateUnit>& units, float threshold) {
  std::vector<bool> kept;
  kept.reserve(units.size());
  for (const GateUnit& unit : units) kept.push_back(unit.score < threshold);
  return kept;
}

void settle_gate(const LayerParameter& layer, const std::vector<bool>& kept,
                 const std::vector<float*>& blobs) {
  const HardConcreteParameter& gate = layer.hard_concrete_param();
  for (std::size_t c = 0; c < kept.size(); ++c)
    if (layer.type() == "HardConcrete")
      settle_hard_concrete(gate.left(), gate.right(), kept[c], &blobs[0][c]);
    else
      settle_bottleneck(gate_threshold(layer), kept[c], &blobs[0][c], &blobs[1][c]);
}

void settle_gate(const std::vector<bool>& kept, LayerParameter* layer) {
  std::vector<float*> blobs;
  for (BlobProto& blob : *layer->mutable_blobs())
    blobs.push_back(blob.mutable_data()->mutable_data());
  settle_gate(*layer, kept, blobs);
}

void shut_units(const LayerParameter& layer, const std::vector<bool>& shut,
                const std::vector<float*>& blobs) {
  constexpr float kShut = -1e6f;  // decay takes a part of it at a time
  for (std::size_t c = 0; c < shut.size(); ++c) {
    if (!shut[c]) continue;
    if (layer.type() == "HardConcrete")
      blobs[0][c] = blobs[0][c] > kShut / 2 ? kShut : blobs[0][c];
    else
      blobs[0][c] = 0;
  }
}

void set_gate_numbers(const std::vector<int>& kept, LayerParameter* layer) {
  auto* numbers = layer->type() == "HardConcrete"
                      ? layer->mutable_hard_concrete_param()->mutable_unit()
                      : layer->mutable_information_bottleneck_param()->mutable_unit();
  const auto old = *numbers;
  numbers->Clear();
  for (const int unit : kept) numbers->Add(old.empty() ? unit : old.Get(unit));
}

}  // namespace vibnet
