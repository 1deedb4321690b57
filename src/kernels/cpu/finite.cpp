#include "kernels/cpu/finite.hpp"

#include <atomic>
#include <bit>

#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

// x·0 is 0 for finite x and NaN otherwise; sums of those tell. Independent sums let the loop vectorize.
template <typename T>
bool finite_range(const T* x, std::int64_t count) {
  constexpr int lanes = 32;
  T sums[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (int j = 0; j < lanes; ++j) sums[j] += x[i + j] * T(0);
  }
  T total = 0;
  for (; i < count; ++i) total += x[i] * T(0);
  for (const T sum : sums) total += sum;
  return total == T(0);
}

bool finite_range(const bfloat16* x, std::int64_t count) {
  unsigned found = 0;
  for (std::int64_t i = 0; i < count; ++i) found |= (x[i].bits & 0x7f80U) == 0x7f80U ? 1U : 0U;
  return found == 0;
}

template <typename T>
bool finite(const Array& array) {
  constexpr std::int64_t grain = 65536;
  const std::int64_t count = array.size();
  if (count <= grain) return finite_range(array.as<T>(), count);
  std::atomic<bool> all{true};
  parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
    if (!finite_range(array.as<T>() + begin, end - begin)) all.store(false, std::memory_order_relaxed);
  });
  return all.load();
}

}  // namespace

bool all_finite(const Array& array) {
  switch (array.dtype) {
    case DType::float32:
      return finite<float>(array);
    case DType::float64:
      return finite<double>(array);
    case DType::bfloat16:
      return finite<bfloat16>(array);
    default:
      return true;
  }
}

}  // namespace chainrule::kernels
