#pragma once

#include <string>

#include <chainrule/error.hpp>
#include <chainrule/tensor.hpp>

/// What the layers and losses say about their inputs.
namespace chainrule::nn {

/// "x [128, 783] float32".
inline std::string describe_tensor(const char* name, const Tensor& x) {
  return std::string(name) + ' ' + to_string(x.shape()) + ' ' + std::string(dtype_name(x.dtype()));
}

inline void check_size(std::string_view layer, const char* argument, std::int64_t size) {
  if (size >= 1) return;
  throw ArgumentError({.function = std::string(layer),
                       .argument = argument,
                       .problem = "a layer's size is at least 1",
                       .got = std::to_string(size),
                       .wanted = "1 or more"});
}

}  // namespace chainrule::nn
