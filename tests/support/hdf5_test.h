#pragma once

#include <gtest/gtest.h>

#include "data/hdf5.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"

namespace vibnet {

/// A folder of the test's own; the test is skipped in a build without HDF5.
class Hdf5Test : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string error = error_of([this] { Hdf5Writer writer(folder_ / "probe.h5"); });
    if (error.find("WITH_HDF5") != std::string::npos) GTEST_SKIP() << error;
  }

  TemporaryFolder folder_;
};

}  // namespace vibnet
