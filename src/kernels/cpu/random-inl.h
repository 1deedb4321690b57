// Philox and what becomes of its words, compiled once for each instruction set.

#if defined(CHAINRULE_RANDOM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CHAINRULE_RANDOM_INL_H_
#undef CHAINRULE_RANDOM_INL_H_
#else
#define CHAINRULE_RANDOM_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include <hwy/highway.h>

#include "kernels/cpu/philox.hpp"

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR
/// Words of `groups` vectors of consecutive blocks, one block per 64-bit lane. A lane carries a counter's
/// word in its lower half; the upper half is whatever the last product left there, which the next product
/// does not see. A round waits for its products: several vectors at a time keep the multiplier busy.
template <int groups>
HWY_INLINE void philox_vectors(PhiloxKey key, std::uint64_t first, std::uint32_t* HWY_RESTRICT out) {
  const hn::ScalableTag<std::uint64_t> d;
  const hn::Repartition<std::uint32_t, decltype(d)> d32;
  using V = hn::Vec<decltype(d)>;
  const std::size_t lanes = hn::Lanes(d);
  const auto multiplier0 = hn::Set(d32, philox_multiplier0);
  const auto multiplier1 = hn::Set(d32, philox_multiplier1);
  const V bump0 = hn::Set(d, std::uint64_t{philox_bump0});
  const V bump1 = hn::Set(d, std::uint64_t{philox_bump1});
  V key0 = hn::Set(d, std::uint64_t{key[0]});
  V key1 = hn::Set(d, std::uint64_t{key[1]});
  V x0[groups], x1[groups], x2[groups], x3[groups];
  HWY_UNROLL(4)
  for (int g = 0; g < groups; ++g) {
    x0[g] = hn::Iota(d, first + static_cast<std::uint64_t>(g) * lanes);
    x1[g] = hn::ShiftRight<32>(x0[g]);
    x2[g] = x3[g] = hn::Zero(d);
  }
  for (int round = 0; round < philox_rounds; ++round) {
    HWY_UNROLL(4)
    for (int g = 0; g < groups; ++g) {
      const V product0 = hn::MulEven(hn::BitCast(d32, x0[g]), multiplier0);
      const V product1 = hn::MulEven(hn::BitCast(d32, x2[g]), multiplier1);
      x0[g] = hn::Xor(hn::Xor(hn::ShiftRight<32>(product1), x1[g]), key0);
      x2[g] = hn::Xor(hn::Xor(hn::ShiftRight<32>(product0), x3[g]), key1);
      x1[g] = product1;
      x3[g] = product0;
    }
    key0 = hn::Add(key0, bump0);
    key1 = hn::Add(key1, bump1);
  }
  const V low = hn::Set(d, std::uint64_t{0xffffffffU});
  HWY_UNROLL(4)
  for (int g = 0; g < groups; ++g) {
    const V words01 = hn::Or(hn::And(x0[g], low), hn::ShiftLeft<32>(x1[g]));
    const V words23 = hn::Or(hn::And(x2[g], low), hn::ShiftLeft<32>(x3[g]));
    hn::StoreInterleaved2(words01, words23, d,
                          reinterpret_cast<std::uint64_t*>(out + static_cast<std::size_t>(4 * g) * lanes));
  }
}
#endif

/// Words of `blocks` consecutive blocks, four each.
inline void philox_words(PhiloxKey key, std::uint64_t first, std::int64_t blocks, std::uint32_t* out) {
  std::int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(hn::ScalableTag<std::uint64_t>()));
  const auto from = [&] { return first + static_cast<std::uint64_t>(i); };
  for (; i + 4 * lanes <= blocks; i += 4 * lanes) philox_vectors<4>(key, from(), out + 4 * i);
  for (; i + lanes <= blocks; i += lanes) philox_vectors<1>(key, from(), out + 4 * i);
#endif
  for (; i < blocks; ++i) {
    const std::uint64_t block = first + static_cast<std::uint64_t>(i);
    const PhiloxCounter words =
        philox_block({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), 0, 0}, key);
    for (std::size_t w = 0; w < 4; ++w) out[4 * i + static_cast<std::int64_t>(w)] = words[w];
  }
}

inline void uniform_of_words(const std::uint32_t* HWY_RESTRICT words, std::int64_t n,
                             float* HWY_RESTRICT out) {
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = static_cast<float>(static_cast<std::int32_t>(words[i] >> 8)) * 0x1p-24f;
  }
}

inline void bernoulli_of_words(const std::uint32_t* HWY_RESTRICT words, std::int64_t n,
                               std::uint32_t threshold, std::uint8_t* HWY_RESTRICT out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = words[i] < threshold ? 1 : 0;
}

/// ln u for u in [2⁻³³, 1]: u = 2^e·(1 + f), 1 + f in [√½, √2), and a polynomial for ln(1 + f) (Cephes,
/// logf). No special values: the general function costs more.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V log_of_uniform(D d, V u) {
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(di, u);
  const auto centred = hn::Sub(bits, hn::Set(di, 0x3f3504f3));  // √½
  const auto exponent = hn::ShiftRight<23>(centred);
  const auto e = hn::ConvertTo(d, exponent);
  const V f = hn::Sub(hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<23>(exponent))), hn::Set(d, 1.0f));
  constexpr float coefficients[] = {-1.1514610310e-1f, 1.1676998740e-1f, -1.2420140846e-1f, 1.4249322787e-1f,
                                    -1.6668057665e-1f, 2.0000714765e-1f, -2.4999993993e-1f, 3.3333331174e-1f};
  V p = hn::Set(d, 7.0376836292e-2f);
  for (const float c : coefficients) p = hn::MulAdd(p, f, hn::Set(d, c));
  const V f2 = hn::Mul(f, f);
  V y = hn::Mul(hn::Mul(p, f), f2);
  y = hn::MulAdd(e, hn::Set(d, -2.12194440e-4f), y);
  y = hn::MulAdd(f2, hn::Set(d, -0.5f), y);
  return hn::MulAdd(e, hn::Set(d, 0.693359375f), hn::Add(f, y));
}

/// cos and sin of 2π·w/2³². The nearest quarter turn is taken off in integers, so the reduction is exact; the
/// polynomials on [−π/4, π/4] are those of Cephes (sinf, cosf).
template <class D, class VU, class V = hn::Vec<D>>
HWY_INLINE void cos_sin_of_turn(D d, VU w, V& cosine, V& sine) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const auto quarter = hn::ShiftRight<30>(hn::Add(w, hn::Set(du, std::uint32_t{1} << 29)));
  const auto rest = hn::Sub(w, hn::ShiftLeft<30>(quarter));
  const V a =
      hn::Mul(hn::ConvertTo(d, hn::BitCast(di, rest)), hn::Set(d, 1.46291807926715968e-9f));  // 2π/2³²
  const V z = hn::Mul(a, a);
  V s = hn::MulAdd(z, hn::Set(d, -1.9515295891e-4f), hn::Set(d, 8.3321608736e-3f));
  s = hn::MulAdd(z, s, hn::Set(d, -1.6666654611e-1f));
  s = hn::MulAdd(hn::Mul(z, s), a, a);
  V c = hn::MulAdd(z, hn::Set(d, 2.443315711809948e-5f), hn::Set(d, -1.388731625493765e-3f));
  c = hn::MulAdd(z, c, hn::Set(d, 4.166664568298827e-2f));
  c = hn::MulAdd(hn::Mul(z, z), c, hn::MulAdd(z, hn::Set(d, -0.5f), hn::Set(d, 1.0f)));
  const auto one = hn::Set(du, std::uint32_t{1});
  const auto odd = hn::MaskFromVec(hn::BitCast(d, hn::Sub(hn::Zero(du), hn::And(quarter, one))));
  // cos is negative in quarters 1 and 2, sin in 2 and 3.
  const auto sine_sign = hn::ShiftLeft<31>(hn::ShiftRight<1>(quarter));
  const auto cosine_sign = hn::ShiftLeft<31>(hn::ShiftRight<1>(hn::Add(quarter, one)));
  cosine = hn::Xor(hn::IfThenElse(odd, s, c), hn::BitCast(d, cosine_sign));
  sine = hn::Xor(hn::IfThenElse(odd, c, s), hn::BitCast(d, sine_sign));
}

/// As many pairs of words as d has lanes become pairs of normals.
template <class D>
HWY_INLINE void normal_lanes(D d, const std::uint32_t* words, float* out) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  hn::Vec<decltype(du)> w0, w1;
  hn::LoadInterleaved2(du, words, w0, w1);
  // u = (w0 + ½)·2⁻³², in two parts so that small u, the tail, keep all their bits.
  const auto high = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<8>(w0)));
  const auto low = hn::ConvertTo(d, hn::BitCast(di, hn::And(w0, hn::Set(du, std::uint32_t{255}))));
  const auto tail = hn::MulAdd(low, hn::Set(d, 0x1p-32f), hn::Set(d, 0x1p-33f));
  const auto u = hn::MulAdd(high, hn::Set(d, 0x1p-24f), tail);
  const auto r = hn::Sqrt(hn::Mul(hn::Set(d, -2.0f), hn::Min(log_of_uniform(d, u), hn::Zero(d))));
  hn::Vec<D> cosine, sine;
  cos_sin_of_turn(d, w1, cosine, sine);
  hn::StoreInterleaved2(hn::Mul(r, cosine), hn::Mul(r, sine), d, out);
}

/// n words become n normals; n is even.
inline void normal_of_words(const std::uint32_t* words, std::int64_t n, float* out) {
  const hn::ScalableTag<float> d;
  const auto step = 2 * static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + step <= n; i += step) normal_lanes(d, words + i, out + i);
  const hn::CappedTag<float, 1> one;
  for (; i < n; i += 2) normal_lanes(one, words + i, out + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace chainrule::kernels
HWY_AFTER_NAMESPACE();

#endif
