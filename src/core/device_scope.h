#pragma once

#include "vibnet/device.h"

namespace vibnet {

/// Gives the thread back the device that it had, for who makes nets for another in between.
class DeviceScope {
 public:
  DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;
  ~DeviceScope();  // NOLINT(bugprone-exception-escape): the device was in use before

 private:
  Device before_;
};

}  // namespace vibnet
