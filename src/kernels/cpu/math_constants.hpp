#pragma once

#include <cstdint>

/// The layout of the two floating types, and constants split in two parts: the high part has so few
/// bits that its product with any exponent is exact, the low part is the rest, rounded.
namespace chainrule::kernels {

template <typename T>
struct FloatConstants;

template <>
struct FloatConstants<float> {
  using Bits = std::int32_t;
  static constexpr int mantissa_bits = 23;
  static constexpr Bits exponent_bias = 127;
  static constexpr Bits mantissa_mask = 0x007fffff;
  static constexpr Bits root_half_bits = 0x3f3504f3;   // sqrt(1/2)
  static constexpr Bits upper_half_bits = ~0xfff;      // the sign, the exponent and 11 stored bits
  static constexpr float round_magic = 12582912.0F;    // 1.5 * 2^23
  static constexpr float all_integers_from = 8388608;  // 2^23
  static constexpr float smallest_normal = 1.17549435e-38F;
  static constexpr float denormal_scale = 16777216;  // 2^24
  static constexpr int denormal_exponent = 24;
  // Beyond these exp is 0 or infinite, with a margin of some powers of two.
  static constexpr float exp_low = -106;
  static constexpr float exp_high = 91;
  static constexpr float exp2_low = -153;
  static constexpr float exp2_high = 130;
  static constexpr float expm1_low = -20;  // expm1 is -1 below
  static constexpr float expm1_overflow = 88.8F;
  static constexpr float last_exponent = 88;  // exp's power of two is above 127 only beyond
  static constexpr float erfc_zero = 10.3F;   // erfc is 0 beyond
  static constexpr float log2_e = 1.44269504F;
  static constexpr float log2_e_low = 1.925963e-08F;
  static constexpr float log10_e = 0.4342945F;
  static constexpr float log10_e_low = -1.010305e-08F;
  static constexpr float ln2 = 0.69314718F;
  static constexpr float ln2_high = 0.693145751953125F;
  static constexpr float ln2_low = 1.4286068e-06F;
  static constexpr float log10_2_high = 0.301025390625F;
  static constexpr float log10_2_low = 4.605039e-06F;
  static constexpr float half_pi = 1.5707964F;
  static constexpr float half_pi_low = -4.371139e-08F;
  static constexpr float asinh_large = 8192;    // x^2 + 1 = x^2 from here on
  static constexpr float huge = 4.2535296e37F;  // 2^125
};

template <>
struct FloatConstants<double> {
  using Bits = std::int64_t;
  static constexpr int mantissa_bits = 52;
  static constexpr Bits exponent_bias = 1023;
  static constexpr Bits mantissa_mask = 0x000fffffffffffff;
  static constexpr Bits root_half_bits = 0x3fe6a09e667f3bcd;
  static constexpr Bits upper_half_bits = ~0x7ffffff;  // the sign, the exponent and 25 stored bits
  static constexpr double round_magic = 6755399441055744.0;
  static constexpr double all_integers_from = 4503599627370496.0;
  static constexpr double smallest_normal = 2.2250738585072014e-308;
  static constexpr double denormal_scale = 18014398509481984.0;  // 2^54
  static constexpr int denormal_exponent = 54;
  static constexpr double exp_low = -748;
  static constexpr double exp_high = 712;
  static constexpr double exp2_low = -1080;
  static constexpr double exp2_high = 1026;
  static constexpr double expm1_low = -45;
  static constexpr double expm1_overflow = 709.9;
  static constexpr double last_exponent = 709;
  static constexpr double erfc_zero = 27.5;
  static constexpr double log2_e = 1.4426950408889634;
  static constexpr double log2_e_low = 2.0355273740931033e-17;
  static constexpr double log10_e = 0.4342944819032518;
  static constexpr double log10_e_low = 1.098319650216765e-17;
  static constexpr double ln2 = 0.6931471805599453;
  static constexpr double ln2_high = 0.693147180559663;
  static constexpr double ln2_low = 2.8235290563031577e-13;
  static constexpr double log10_2_high = 0.30102999566383914;
  static constexpr double log10_2_low = 1.42050232272661e-13;
  static constexpr double half_pi = 1.5707963267948966;
  static constexpr double half_pi_low = 6.123233995736766e-17;
  static constexpr double asinh_large = 268435456;
  static constexpr double huge = 2.247116418577895e307;  // 2^1021
};

/// pi/2 = first + second + third + fourth. The first three have 33 bits each, so that their product with
/// an integer below 2^20 is exact.
struct HalfPi {
  static constexpr double first = 1.5707963267341256;
  static constexpr double second = 6.077100506303966e-11;
  static constexpr double third = 2.0222662487111665e-21;
  static constexpr double fourth = 8.4784276603689e-32;
  static constexpr double after_first = 6.077100506506192e-11;  // second + third + fourth
  static constexpr double inverse = 0.6366197723675814;
  static constexpr double reducible = 1.0e6;  // |x| up to here is reduced with the four parts
};

inline constexpr double tan_eighth_pi = 0.41421356237309503;

}  // namespace chainrule::kernels
