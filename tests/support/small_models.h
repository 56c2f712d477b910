#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "vibnet.pb.h"
#include "vibnet/blob.h"

namespace vibnet {

/// A net of models/, or "shuffle_net", for pictures small enough that it runs often.
struct SmallModel {
  std::string name;
  Shape input;
};

/// For deployment, up to the scores, without bottlenecks; a last pooling is over whatever is left
/// of the picture.
NetParameter deploy_of(const SmallModel& model);

/// One of each kind of graph that compression must master: chains, residual sums, concatenation,
/// depthwise and grouped convolution, shuffled channels.
const std::vector<SmallModel>& small_models();

std::ostream& operator<<(std::ostream& out, const SmallModel& model);
/// The name as a test's.
std::string test_name(const SmallModel& model);

}  // namespace vibnet
