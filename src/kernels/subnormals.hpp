#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/// What this thread's arithmetic does with subnormal numbers: those nearer to zero than the smallest normal
/// one, 1.2e-38 in float32 and bfloat16 and 2.2e-308 in float64. A processor computes with them exactly but a
/// hundred times slower; or it takes them for zero, where it reads them and where it would write them.
namespace chainrule::kernels {

#if defined(__x86_64__)
inline constexpr bool can_flush_subnormals = true;
/// Bits of MXCSR, "flush to zero" and "denormals are zero", which float32 and float64 arithmetic obeys from
/// SSE to AVX-512 (Intel 64 and IA-32 architectures software developer's manual, volume 1, 10.2.3). Products
/// of bfloat16 by the processor's tiles take subnormal numbers for zero whatever they say.
inline constexpr unsigned flush_bits = 0x8000U | 0x0040U;

inline unsigned subnormal_bits() { return _mm_getcsr() & flush_bits; }
inline void set_subnormal_bits(unsigned bits) {
  const unsigned now = _mm_getcsr();
  const unsigned wanted = (now & ~flush_bits) | bits;
  if (wanted != now) _mm_setcsr(wanted);  // writing takes longer than reading
}
#else
inline constexpr bool can_flush_subnormals = false;
inline constexpr unsigned flush_bits = 0;
inline unsigned subnormal_bits() { return 0; }
inline void set_subnormal_bits(unsigned) {}
#endif

/// For a scope; afterwards the thread computes as it did before.
class SubnormalsScope {
 public:
  explicit SubnormalsScope(bool flush) : before_(subnormal_bits()) {
    set_subnormal_bits(flush ? flush_bits : 0);
  }
  ~SubnormalsScope() { set_subnormal_bits(before_); }
  SubnormalsScope(const SubnormalsScope&) = delete;
  SubnormalsScope& operator=(const SubnormalsScope&) = delete;

 private:
  unsigned before_;
};

}  // namespace chainrule::kernels
