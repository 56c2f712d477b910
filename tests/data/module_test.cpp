#include "data/module.h"

#include <gtest/gtest.h>

namespace vibnet {
namespace {

TEST(Module, IsNullWhereThereIsNoSuchLibraryOrEntry) {
  EXPECT_EQ(load_module("libvibnet_none.so", "vibnet_image_module"), nullptr);
  EXPECT_EQ(load_module("libz.so.1", "vibnet_image_module"), nullptr);
}

}  // namespace
}  // namespace vibnet
