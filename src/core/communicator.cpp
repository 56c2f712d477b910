#include "vibnet/communicator.h"

namespace vibnet {

Communicator& one_rank() {
  static Communicator alone;
  return alone;
}

}  // namespace vibnet
