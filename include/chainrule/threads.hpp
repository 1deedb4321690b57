#pragma once

#include <chainrule/export.hpp>

/// How many threads the library's kernels use. Nothing here touches a setting of the process.
namespace chainrule {

/// The number of threads that kernels called from this thread use, the caller included.
CHAINRULE_API int thread_count();

/// Sets the number of threads for what the calling thread evaluates (not a process-wide setting); 0 means
/// the machine's cores that this process may run on, the default. Results do not depend on it. The pool of
/// threads grows when asked to. Throws ArgumentError for a negative number or one above 256.
CHAINRULE_API void set_thread_count(int threads);

}  // namespace chainrule
