#include "data/rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/scale_bytes.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::data {
namespace {

std::size_t row_length(const HostArray& array) {
  return array.shape[0] == 0 ? 0 : static_cast<std::size_t>(array.size() / array.shape[0]);
}

/// Rows come in any order, so that the processor's own prefetching finds only the end of each.
constexpr std::size_t rows_ahead = 2;
/// The longest part of a row that is worth fetching ahead.
constexpr std::size_t most_ahead = 4096;

void fetch(const std::byte* row, std::size_t bytes) {
  for (std::size_t at = 0; at < std::min(bytes, most_ahead); at += 64) __builtin_prefetch(row + at);
}

/// Calls f(the stored row, where its copy begins) for each of the rows, on several threads where that is
/// worth it; elements of the copy take `element` bytes.
template <typename F>
void for_each_row(const HostArray& from, std::span<const std::int64_t> rows, std::size_t element, void* to,
                  F f) {
  constexpr double nanoseconds_per_byte = 0.05, nanoseconds_per_line = 3;  // of the copy; of memory
  const std::size_t length = row_length(from);
  const std::size_t bytes = length * dtype_size(from.dtype);
  const auto* const stored = static_cast<const std::byte*>(from.buffer.data());
  auto* const out = static_cast<std::byte*>(to);
  const auto stored_row = [&](std::size_t i) { return stored + static_cast<std::size_t>(rows[i]) * bytes; };
  const auto some_rows = [&](std::int64_t begin, std::int64_t end) {
    const auto last = static_cast<std::size_t>(end);
    for (auto i = static_cast<std::size_t>(begin); i < last; ++i) {
      if (i + rows_ahead < last) fetch(stored_row(i + rows_ahead), bytes);
      f(static_cast<const void*>(stored_row(i)), static_cast<void*>(out + i * length * element));
    }
  };
  const double row_nanoseconds =
      std::max(nanoseconds_per_byte * static_cast<double>(length * element), nanoseconds_per_line);
  parallel_for(static_cast<std::int64_t>(rows.size()), items_worth_a_thread(row_nanoseconds), some_rows);
}

/// One number for each of `length` elements, in `dtype`.
HostArray numbers_of(std::vector<double> numbers, std::size_t length, DType dtype) {
  if (numbers.size() == 1) numbers.assign(length, numbers[0]);
  HostArray result = HostArray::uninitialized(dtype, {static_cast<std::int64_t>(numbers.size())});
  const void* const input = numbers.data();
  kernels::find_cast_kernel(DType::float64, dtype)(&input, result.buffer.data(), result.size());
  return result;
}

bool are_finite(const HostArray& numbers) {
  const auto all = [&]<typename T>(const T* x) {
    return std::all_of(x, x + numbers.size(), [](T value) { return std::isfinite(value); });
  };
  return numbers.dtype == DType::float64 ? all(numbers.data<double>()) : all(numbers.data<float>());
}

template <typename T>
void replace_missing(T* x, std::int64_t count) {
  std::transform(x, x + count, x, [](T value) { return value == value ? value : T{0}; });
}

kernels::ChainStep scaling_step(std::string_view op, const HostArray& numbers) {
  constexpr auto array = kernels::ChainOperand::array;
  return {kernels::find_chain_code(kernels::find_lane_kernel(op, numbers.dtype), kernels::ChainValue::first,
                                   array),
          array, numbers.buffer.data()};
}

}  // namespace

void copy_rows(const HostArray& from, std::span<const std::int64_t> rows, void* to) {
  const std::size_t bytes = row_length(from) * dtype_size(from.dtype);
  for_each_row(from, rows, dtype_size(from.dtype), to,
               [&](const void* stored, void* out) { std::memcpy(out, stored, bytes); });
}

void convert_rows(const HostArray& from, std::span<const std::int64_t> rows, DType to_dtype, void* to) {
  const auto convert = kernels::find_cast_kernel(from.dtype, to_dtype);
  const auto count = static_cast<std::int64_t>(row_length(from));
  for_each_row(from, rows, dtype_size(to_dtype), to,
               [&](const void* stored, void* out) { convert(&stored, out, count); });
}

RowScaling::RowScaling(const std::vector<double>& shift, const std::vector<double>& scale,
                       const HostArray& from, DType to)
    : dtype_(to),
      count_(static_cast<std::int64_t>(row_length(from))),
      shift_(numbers_of(shift, row_length(from), to)),
      scale_(numbers_of(scale, row_length(from), to)),
      are_bytes_(from.dtype == DType::uint8 && to == DType::float32),
      may_be_missing_(is_floating(from.dtype) || !are_finite(shift_) || !are_finite(scale_)),
      convert_(kernels::find_cast_kernel(from.dtype, to)),
      chain_(kernels::find_chain(to)),
      steps_{{scaling_step("sub", shift_), scaling_step("mul", scale_), {.code = chain_.store}}} {}

void RowScaling::operator()(const HostArray& from, std::span<const std::int64_t> rows, void* to) const {
  for_each_row(from, rows, dtype_size(dtype_), to, [&](const void* stored, void* out) {
    if (are_bytes_) {
      kernels::scale_bytes(static_cast<const std::uint8_t*>(stored), shift_.data<float>(),
                           scale_.data<float>(), count_, static_cast<float*>(out));
    } else {
      convert_(&stored, out, count_);
      chain_.run(out, steps_, out, count_);
    }
    if (!may_be_missing_) return;
    if (dtype_ == DType::float64) {
      replace_missing(static_cast<double*>(out), count_);
    } else {
      replace_missing(static_cast<float*>(out), count_);
    }
  });
}

}  // namespace chainrule::data
