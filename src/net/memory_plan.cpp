// Which blobs of a net share memory; a part of Net.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "net/blobs.h"
#include "vibnet/net.h"

namespace vibnet {
namespace {

/// From the first to the last of the layers that use a blob's memory.
struct Life {
  int begin = 0;
  int end = 0;
  bool overlaps(const Life& other) const { return begin <= other.end && other.begin <= end; }
};

using Lives = std::map<Blob*, Life>;

/// Where what the net is given or gives away comes to life: its memory is its own.
constexpr int kOutside = -1;

void extend(Blob* blob, int layer, Lives* lives) {
  const auto [life, is_new] = lives->emplace(blob, Life{layer, layer});
  if (is_new) return;
  life->second.begin = std::min(life->second.begin, layer);
  life->second.end = std::max(life->second.end, layer);
}

/// Blobs that may come to be one memory live as long as all of them together. Returns whether that
/// made any life longer.
bool join(const Blobs& together, Lives* lives) {
  Life all{1 << 30, -1};
  for (Blob* blob : together) {
    const auto life = lives->find(blob);
    if (life == lives->end()) continue;
    all.begin = std::min(all.begin, life->second.begin);
    all.end = std::max(all.end, life->second.end);
  }
  bool grew = false;
  for (Blob* blob : together) {
    const auto life = lives->find(blob);
    if (life == lives->end()) continue;
    grew = grew || life->second.begin != all.begin || life->second.end != all.end;
    life->second = all;
  }
  return grew;
}

void join_all(const std::vector<Blobs>& groups, Lives* lives) {
  bool grew = true;
  while (grew) {
    grew = false;
    for (const Blobs& group : groups) grew = join(group, lives) || grew;
  }
}

/// Memories, each with the lives that it serves. The largest blobs come first, so each takes the
/// first memory that is free for its life.
template <typename Use>
void assign(const Lives& lives, const Use& use) {
  struct Memory {
    std::shared_ptr<SyncedMemory> values;
    std::vector<Life> lives;
  };
  std::vector<std::pair<Blob*, Life>> blobs(lives.begin(), lives.end());
  std::stable_sort(blobs.begin(), blobs.end(), [](const auto& a, const auto& b) {
    if (a.first->count() != b.first->count()) return a.first->count() > b.first->count();
    return a.second.begin < b.second.begin;
  });
  std::vector<Memory> memories;
  for (const auto& [blob, life] : blobs) {
    auto free =
        std::find_if(memories.begin(), memories.end(), [&life = life](const Memory& memory) {
          return std::none_of(memory.lives.begin(), memory.lives.end(),
                              [&](const Life& other) { return life.overlaps(other); });
        });
    if (free == memories.end()) {
      memories.push_back({std::make_shared<SyncedMemory>(blob->count() * sizeof(float)), {}});
      free = memories.end() - 1;
    }
    free->lives.push_back(life);
    use(blob, free->values);
  }
}

}  // namespace

/// The blobs of each layer that `shares` says uses one memory for them.
std::vector<Blobs> Net::sharing(bool (Layer::*shares)() const) const {
  std::vector<Blobs> groups;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (!(layers_[i].get()->*shares)()) continue;
    groups.push_back(bottoms_[i]);
    groups.back().insert(groups.back().end(), tops_[i].begin(), tops_[i].end());
  }
  return groups;
}

/// Whether backward changes the diff of a blob in its place, before the layer `reader` has read it
/// for the last time: that of the layer that wrote the blob, or of one that its memory is handed
/// to.
bool Net::is_diff_changed(const Blob* blob, int reader) const {
  for (int i = reader - 1; i >= 0; --i)
    if (contains(tops_[i], blob))
      return layers_[i]->shares_diff() || contains(bottoms_[i], blob) ||
             contains(bottoms_[pass_of_[i]], blob);
  return true;  // it comes from outside
}

/// The bottoms whose diffs are those of a top, which no layer before changes in place.
std::map<Blob*, Blob*> Net::handed_on_diffs() const {
  std::map<Blob*, Blob*> tops;
  for (int i = 0; i < static_cast<int>(layers_.size()); ++i) {
    if (!layer_needs_backward_[i] || !layers_[i]->hands_on_diff()) continue;
    for (std::size_t b = 0; b < bottoms_[i].size(); ++b)
      if (propagate_down_[i][b] && !is_diff_changed(bottoms_[i][b], i))
        tops[bottoms_[i][b]] = tops_[i][0];
  }
  return tops;
}

/// A diff lives from the layer that reads its blob, whose backward writes it, down to the one that
/// makes the blob. An output's, a loss's weight among them, and one that no backward writes, keep
/// their memory.
void Net::share_diffs() {
  Lives lives;
  std::set<Blob*> written;
  for (int i = 0; i < static_cast<int>(layers_.size()); ++i) {
    if (!layer_needs_backward_[i]) continue;
    for (std::size_t b = 0; b < bottoms_[i].size(); ++b) {
      if (!propagate_down_[i][b]) continue;
      extend(bottoms_[i][b], pass_of_[i], &lives);
      const bool is_within_pass = pass_of_[i] != i;
      if (!is_within_pass && !contains(tops_[last_of_pass(i)], bottoms_[i][b]))
        written.insert(bottoms_[i][b]);
    }
    for (Blob* top : tops_[i]) extend(top, pass_of_[i], &lives);
  }
  for (const std::string& name : output_names_) extend(blob(name), kOutside, &lives);
  std::map<Blob*, Blob*> handed_on = handed_on_diffs();
  std::vector<Blobs> groups = sharing(&Layer::shares_diff);
  for (const auto& [bottom, top] : handed_on) groups.push_back({bottom, top});
  join_all(groups, &lives);
  for (auto life = lives.begin(); life != lives.end();) {
    const bool is_own = life->second.begin == kOutside || written.count(life->first) == 0;
    life = is_own ? lives.erase(life) : std::next(life);
  }
  for (auto& [bottom, top] : handed_on) {
    while (handed_on.count(top) > 0) top = handed_on.at(top);
    if (lives.count(bottom) == 0 || lives.count(top) == 0) top = nullptr;
  }
  for (const auto& [bottom, top] : handed_on)
    if (top != nullptr) lives.erase(bottom);
  assign(lives, [](Blob* blob, const auto& memory) { blob->use_diff(memory); });
  for (const auto& [bottom, top] : handed_on)
    if (top != nullptr) bottom->share_diff(*top);
}

/// Where no backward reads it, data lives from the layer that makes it to the last that reads it.
/// What comes from outside or goes there keeps its memory.
void Net::share_data() {
  Lives lives;
  for (int i = 0; i < static_cast<int>(layers_.size()); ++i) {
    for (Blob* bottom : bottoms_[i]) extend(bottom, pass_of_[i], &lives);
    for (Blob* top : tops_[i]) extend(top, bottoms_[i].empty() ? kOutside : pass_of_[i], &lives);
  }
  for (const std::string& name : output_names_) extend(blob(name), kOutside, &lives);
  join_all(sharing(&Layer::shares_data), &lives);
  for (auto life = lives.begin(); life != lives.end();)
    life = life->second.begin == kOutside ? lives.erase(life) : std::next(life);
  assign(lives, [](Blob* blob, const auto& memory) { blob->use_data(memory); });
}

void Net::plan_memory() { context_.phase == TRAIN ? share_diffs() : share_data(); }

}  // namespace vibnet
