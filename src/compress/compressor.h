#pragma once

#include <set>
#include <string>
#include <vector>

#include "compress/cut.h"
#include "compress/graph.h"
#include "vibnet.pb.h"
#include "vibnet/compress.h"

namespace vibnet {

/// A net with weights, and what compression would leave of it: first as a plan, as often as is
/// wanted and with other gates each time, then cut.
class Compressor {
 public:
  /// As for compress().
  Compressor(const NetParameter& model, NetParameter weights, const CompressOptions& options);

  /// Gives the gates the values of these layers' blobs. Those that the net has not are passed over.
  void set_gates(const NetParameter& gates);
  /// The deployment net that is left. Writes no weights, and so costs little. Throws Error as
  /// compress() does.
  NetParameter plan() const;
  /// What is left, with its weights. Uses the net up.
  CompressedNet cut();

 private:
  Masks masks() const;
  Plan checked_plan(const Masks& masks) const;
  std::vector<std::string> fold(const std::set<std::string>& scales, Graph* cut) const;
  NetParameter deployed(const NetParameter& model, std::vector<int>* kept_inputs) const;

  NetParameter model_;
  CompressOptions options_;
  Graph graph_;
  std::string why_not_of_one_;
};

}  // namespace vibnet
