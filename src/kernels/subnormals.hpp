#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/// What this thread's arithmetic does with subnormal numbers: those nearer to zero than the smallest normal
/// one, 1.2e-38 in float32 and 2.2e-308 in float64. A processor computes with them exactly but a hundred
/// times slower; or it takes them for zero, where it reads them and where it would write them.
namespace chainrule::kernels {

#if defined(__x86_64__)
inline constexpr bool can_flush_subnormals = true;
namespace detail {
/// Bits of MXCSR, which all instruction sets from SSE on obey: "flush to zero" and "denormals are zero"
/// (Intel 64 and IA-32 architectures software developer's manual, volume 1, 10.2.3).
inline constexpr unsigned flush_bits = 0x8000U | 0x0040U;
}  // namespace detail

inline bool subnormals_are_flushed() { return (_mm_getcsr() & detail::flush_bits) == detail::flush_bits; }
inline void flush_subnormals(bool flush) {
  const unsigned now = _mm_getcsr();
  const unsigned wanted = flush ? now | detail::flush_bits : now & ~detail::flush_bits;
  if (wanted != now) _mm_setcsr(wanted);  // writing takes longer than reading
}
#else
inline constexpr bool can_flush_subnormals = false;
inline bool subnormals_are_flushed() { return false; }
inline void flush_subnormals(bool) {}
#endif

/// For a scope; afterwards the thread computes as it did before.
class SubnormalsScope {
 public:
  explicit SubnormalsScope(bool flush) : before_(subnormals_are_flushed()) { flush_subnormals(flush); }
  ~SubnormalsScope() { flush_subnormals(before_); }
  SubnormalsScope(const SubnormalsScope&) = delete;
  SubnormalsScope& operator=(const SubnormalsScope&) = delete;

 private:
  bool before_;
};

}  // namespace chainrule::kernels
