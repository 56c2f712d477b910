#pragma once

#include <glog/logging.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include "support/random_graph.h"

namespace vibnet {

/// 200 seeds, or with VIBNET_NIGHTLY=1 5,000, or with a larger number so many. VIBNET_SEED=N is
/// that one alone, and prints its graph.
struct Seeds {
  int begin = 0;
  int end = 200;

  Seeds() {
    if (const char* nightly = std::getenv("VIBNET_NIGHTLY")) {
      const int count = std::atoi(nightly);
      end = count > 1 ? count : 5000;
    }
    if (const char* only = std::getenv("VIBNET_SEED")) {
      begin = std::atoi(only);
      end = begin + 1;
      std::cout << random_graph(begin).prototxt;
    }
  }
};

/// Calls run(seed, counts) for all seeds. The nets are too small for threads.
template <typename Counts>
Counts on_random_graphs(void (*run)(std::uint32_t, Counts*)) {
  Counts counts;
  const Seeds seeds;
  const int threads = omp_get_max_threads();
  omp_set_num_threads(1);
  const int log_level = FLAGS_minloglevel;
  FLAGS_minloglevel = google::GLOG_WARNING;  // TEST passes over the weights of TRAIN's layers
  for (int seed = seeds.begin; seed < seeds.end; ++seed) {
    SCOPED_TRACE("VIBNET_SEED=" + std::to_string(seed));
    EXPECT_NO_THROW(run(seed, &counts));
  }
  FLAGS_minloglevel = log_level;
  omp_set_num_threads(threads);
  return counts;
}

}  // namespace vibnet
