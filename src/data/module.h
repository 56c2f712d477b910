#pragma once

namespace vibnet {

/// Loads a library that stands beside this one (or else where the system finds it), and calls what
/// it exports under this name, which returns what the module can do. Null where there is no such
/// library: a build without it. The heavy libraries stand in modules, so that a program that needs
/// none starts without them.
const void* load_module(const char* library, const char* entry);

}  // namespace vibnet
