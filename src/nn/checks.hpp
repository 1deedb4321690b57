#pragma once

#include <string>

#include <chainrule/error.hpp>
#include <chainrule/tensor.hpp>

#include "ops/rules.hpp"

/// What the layers and losses say about their inputs.
namespace chainrule::nn {


inline void check_size(std::string_view layer, const char* argument, std::int64_t size) {
  if (size >= 1) return;
  throw ArgumentError({.function = std::string(layer),
                       .argument = argument,
                       .problem = "a layer's size is at least 1",
                       .got = std::to_string(size),
                       .wanted = "1 or more"});
}

}  // namespace chainrule::nn
