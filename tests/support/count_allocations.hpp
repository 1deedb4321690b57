#pragma once

namespace chainrule::testing {

/// True where allocations can be counted: not under a sanitizer, which brings its own malloc.
bool counts_allocations();
/// Calls of malloc, calloc, realloc, aligned_alloc, memalign, posix_memalign and mmap so far, on all threads.
long allocation_count();

}  // namespace chainrule::testing
