#pragma once

/// Whether this is built with the address or the thread sanitizer, which watch memory in their own malloc.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHAINRULE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CHAINRULE_SANITIZED 1
#endif
#endif

namespace chainrule {

#ifdef CHAINRULE_SANITIZED
constexpr bool is_sanitized = true;
#else
constexpr bool is_sanitized = false;
#endif

}  // namespace chainrule
