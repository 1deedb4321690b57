#pragma once

/// Marks what the shared library exports. Everything else is hidden (`-fvisibility=hidden`). The same objects
/// make the static library.
#define CHAINRULE_API __attribute__((visibility("default")))
