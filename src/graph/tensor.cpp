#include <chainrule/tensor.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

#include "graph/device.hpp"
#include "graph/node.hpp"
#include "graph/scalar.hpp"

namespace chainrule {

const Shape& Tensor::shape() const { return spec_of(*this).shape; }
DType Tensor::dtype() const { return spec_of(*this).dtype; }
std::int64_t Tensor::size() const { return element_count(shape()); }
std::int64_t Tensor::size(int axis) const { return shape()[normalize_axis(axis, rank(), "Tensor::size")]; }

HostArray Tensor::to_host() const {
  eval();
  const TensorSpec& spec = spec_of(*this);
  const Storage& storage = storage_of(*this);
  const bool whole = storage.offset == 0 && is_dense(spec.shape, storage.strides);
  if (whole) return {spec.dtype, spec.shape, storage.buffer};
  HostArray array = HostArray::uninitialized(spec.dtype, spec.shape);
  const kernels::Array from{data_of(*this), spec.dtype, spec.shape, storage.strides};
  const kernels::Array to{array.buffer.data(), spec.dtype, spec.shape, contiguous_strides(spec.shape)};
  cpu_device().copy({{&from, 1}, {&to, 1}, nullptr, nullptr, nullptr});
  return array;
}

namespace {

struct Limits {
  double low;
  double high;
  bool whole;
};

template <typename T>
constexpr Limits limits_of() {
  if constexpr (std::floating_point<T> || std::same_as<T, bfloat16>)
    return {-INFINITY, INFINITY, false};
  else if constexpr (std::same_as<T, bool>)
    return {0, 1, true};
  else
    return {static_cast<double>(std::numeric_limits<T>::lowest()),
            static_cast<double>(std::numeric_limits<T>::max()), true};
}

template <typename T>
constexpr const char* type_name() {
  if constexpr (std::same_as<T, bool>)
    return "bool";
  else if constexpr (std::same_as<T, float>)
    return "float";
  else if constexpr (std::same_as<T, double>)
    return "double";
  else if constexpr (std::same_as<T, bfloat16>)
    return "bfloat16";
  else
    return std::is_signed_v<T> ? "signed integer" : "unsigned integer";
}

[[noreturn]] void throw_unfit(const std::string& value, const std::string& target) {
  throw DTypeError({.function = "item",
                    .argument = "T",
                    .problem = "the value does not fit the type asked for",
                    .got = value + " as " + target,
                    .wanted = "a type that holds the value"});
}

// int64 goes through its own path: double can't hold all of it.
template <typename T>
T convert(const std::byte* source, DType dtype) {
  constexpr Limits limits = limits_of<T>();
  if (dtype == DType::int64) {
    std::int64_t value = 0;
    std::memcpy(&value, source, sizeof value);
    if constexpr (std::integral<T>) {
      if (!std::in_range<std::conditional_t<std::same_as<T, bool>, std::uint8_t, T>>(value) ||
          (std::same_as<T, bool> && value > 1)) {
        throw_unfit(std::to_string(value), type_name<T>());
      }
      return static_cast<T>(value);
    } else {
      using Through = std::conditional_t<std::same_as<T, double>, double, float>;
      return T(static_cast<Through>(value));
    }
  }
  const double value = read_scalar(source, dtype);
  const bool fits =
      !limits.whole || (value >= limits.low && value <= limits.high && value == std::trunc(value));
  if (!fits) throw_unfit(short_number(value), type_name<T>());
  if constexpr (std::same_as<T, bfloat16>)
    return bfloat16(static_cast<float>(value));
  else
    return static_cast<T>(value);
}

template <typename T>
T read_item(const Tensor& x) {
  if (x.size() != 1) {
    throw ShapeError({.function = "item",
                      .argument = "x",
                      .problem = "only a tensor with one element is a number",
                      .got = to_string(x.shape()),
                      .wanted = "one element",
                      .hint = "to_vector() reads all elements"});
  }
  x.eval();
  return convert<T>(static_cast<const std::byte*>(data_of(x)), x.dtype());
}

template <typename T>
std::vector<T> read_vector(const Tensor& x) {
  const HostArray array = x.to_host();
  const auto* bytes = static_cast<const std::byte*>(array.buffer.data());
  const auto count = static_cast<std::size_t>(array.size());
  std::vector<T> result(count);
  if (array.dtype == dtype_of<T>()) {
    if constexpr (!std::same_as<T, bool>) {
      if (count > 0) std::memcpy(result.data(), bytes, count * sizeof(T));
      return result;
    }
  }
  for (std::size_t i = 0; i < count; ++i)
    result[i] = convert<T>(bytes + i * dtype_size(array.dtype), array.dtype);
  return result;
}

}  // namespace

template <typename T>
requires Element<T> || Scalar<T> T Tensor::item()
const { return read_item<T>(*this); }
template <Element T>
std::vector<T> Tensor::to_vector() const {
  return read_vector<T>(*this);
}

#define CHAINRULE_INSTANTIATE(T) template CHAINRULE_API T Tensor::item<T>() const;
CHAINRULE_INSTANTIATE(bool)
CHAINRULE_INSTANTIATE(signed char)
CHAINRULE_INSTANTIATE(unsigned char)
CHAINRULE_INSTANTIATE(short)
CHAINRULE_INSTANTIATE(unsigned short)
CHAINRULE_INSTANTIATE(int)
CHAINRULE_INSTANTIATE(unsigned int)
CHAINRULE_INSTANTIATE(long)
CHAINRULE_INSTANTIATE(unsigned long)
CHAINRULE_INSTANTIATE(long long)
CHAINRULE_INSTANTIATE(unsigned long long)
CHAINRULE_INSTANTIATE(bfloat16)
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
#undef CHAINRULE_INSTANTIATE
template CHAINRULE_API std::vector<bool> Tensor::to_vector<bool>() const;
template CHAINRULE_API std::vector<std::uint8_t> Tensor::to_vector<std::uint8_t>() const;
template CHAINRULE_API std::vector<std::int32_t> Tensor::to_vector<std::int32_t>() const;
template CHAINRULE_API std::vector<std::int64_t> Tensor::to_vector<std::int64_t>() const;
template CHAINRULE_API std::vector<bfloat16> Tensor::to_vector<bfloat16>() const;
template CHAINRULE_API std::vector<float> Tensor::to_vector<float>() const;
template CHAINRULE_API std::vector<double> Tensor::to_vector<double>() const;

Tensor Tensor::reshape(const Shape& shape) const { return chainrule::reshape(*this, shape); }
Tensor Tensor::permute(const Dims& axes) const { return chainrule::permute(*this, axes); }
Tensor Tensor::transpose() const { return chainrule::transpose(*this); }
Tensor Tensor::astype(DType dtype) const { return chainrule::astype(*this, dtype); }
Tensor Tensor::operator[](std::int64_t index) const {
  const std::int64_t length = size(0);
  const std::int64_t i = index < 0 ? index + length : index;
  if (i < 0 || i >= length) {
    throw ArgumentError({.function = "Tensor::operator[]",
                         .argument = "index",
                         .problem = "index out of range",
                         .got = std::to_string(index) + " for " + to_string(shape()),
                         .wanted = "less than " + std::to_string(length)});
  }
  return squeeze(slice(*this, 0, i, i + 1), {0});
}

}  // namespace chainrule
