#pragma once

#include <chainrule/export.hpp>

// The one place where the version stands: CMake, the package files and the program read it here.
#define CHAINRULE_VERSION_MAJOR 0
#define CHAINRULE_VERSION_MINOR 1
#define CHAINRULE_VERSION_PATCH 0
#define CHAINRULE_VERSION "0.1.0"

namespace chainrule {

/// The version of the library that is loaded, "0.1.0". The macro is that of the headers: a program that
/// compares the two finds out when it runs with another library than it was built for.
CHAINRULE_API const char* version() noexcept;

}  // namespace chainrule
