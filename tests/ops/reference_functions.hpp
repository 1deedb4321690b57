#pragma once

#include <functional>
#include <string>
#include <vector>

#include <chainrule/tensor.hpp>

namespace chainrule::test {

using Tensors = std::vector<Tensor>;
using Function = std::function<Tensor(const Tensors&)>;

/// What a case of tests/reference/ops/values.json calls, by the case's name; empty for an unknown one.
Function reference_function(const std::string& name);

}  // namespace chainrule::test
