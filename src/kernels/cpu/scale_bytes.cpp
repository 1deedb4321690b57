#include "kernels/cpu/scale_bytes.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/scale_bytes.cpp"
#include <hwy/foreach_target.h>  // includes this file once per instruction set

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace chainrule::kernels::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

void scale_row(const std::uint8_t* x, const float* shift, const float* scale, std::int64_t n, float* out) {
  const hn::ScalableTag<float> d;
  const hn::Rebind<std::int32_t, decltype(d)> wide;
  const hn::Rebind<std::uint8_t, decltype(d)> bytes;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto number = hn::ConvertTo(d, hn::PromoteTo(wide, hn::LoadU(bytes, x + i)));
    hn::StoreU(hn::Mul(hn::Sub(number, hn::LoadU(d, shift + i)), hn::LoadU(d, scale + i)), d, out + i);
  }
  for (; i < n; ++i) out[i] = (static_cast<float>(x[i]) - shift[i]) * scale[i];
}

}  // namespace chainrule::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(scale_row);

void scale_bytes(const std::uint8_t* x, const float* shift, const float* scale, std::int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(scale_row)(x, shift, scale, n, out);
}

}  // namespace chainrule::kernels
#endif
