#pragma once

/// Marks what the shared library exports. Everything else is hidden (`-fvisibility=hidden`).
#if defined(CHAINRULE_STATIC)
#define CHAINRULE_API
#else
#define CHAINRULE_API __attribute__((visibility("default")))
#endif
