#include "graph/scalar.hpp"

#include <cstring>

#include "graph/node.hpp"

namespace chainrule {

void write_scalar(std::byte* target, double value, DType dtype) {
  const auto put = [&](auto typed) { std::memcpy(target, &typed, sizeof typed); };
  switch (dtype) {
    case DType::boolean:
      put(static_cast<std::uint8_t>(value != 0));
      break;
    case DType::uint8:
      put(static_cast<std::uint8_t>(value));
      break;
    case DType::int32:
      put(static_cast<std::int32_t>(value));
      break;
    case DType::int64:
      put(static_cast<std::int64_t>(value));
      break;
    case DType::bfloat16:
      put(bfloat16(static_cast<float>(value)));
      break;
    case DType::float32:
      put(static_cast<float>(value));
      break;
    case DType::float64:
      put(value);
      break;
  }
}

void write_constant(std::byte* target, const Tensor& constant) {
  const auto* integer = std::get_if<std::int64_t>(&constant.node()->attribute(0));
  if (integer != nullptr && constant.dtype() == DType::int64) {
    std::memcpy(target, integer, sizeof *integer);
  } else {
    write_scalar(target, constant_value(constant), constant.dtype());
  }
}

double read_scalar(const std::byte* source, DType dtype) {
  const auto get = [&]<typename T>(T value) {
    std::memcpy(&value, source, sizeof value);
    return value;
  };
  switch (dtype) {
    case DType::boolean:
      return get(std::uint8_t{}) != 0 ? 1 : 0;
    case DType::uint8:
      return get(std::uint8_t{});
    case DType::int32:
      return get(std::int32_t{});
    case DType::int64:
      return static_cast<double>(get(std::int64_t{}));
    case DType::bfloat16:
      return static_cast<double>(static_cast<float>(get(bfloat16{})));
    case DType::float32:
      return static_cast<double>(get(0.0F));
    case DType::float64:
      return get(0.0);
  }
  return 0;
}

}  // namespace chainrule
