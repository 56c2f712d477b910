#include "vibnet/communicator.h"

#include <string>

namespace vibnet {

RankHasEnded::RankHasEnded(int rank)
    : Error("rank " + std::to_string(rank) + " has ended, and so does the run"), rank_(rank) {}

Communicator& one_rank() {
  static Communicator alone;
  return alone;
}

}  // namespace vibnet
