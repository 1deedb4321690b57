#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <chainrule/nn/module.hpp>
#include <chainrule/nn/record.hpp>

namespace chainrule::nn {

/// One module in a summary.
struct SummaryRow {
  std::string path;    ///< "2"; several, joined by commas, for modules that the graph can't tell apart
  std::string type;    ///< "Linear"; "(other)" for operations outside of any module
  Shape output_shape;  ///< of the module's last operation; that of its input where it has none
  std::int64_t parameters = 0;
  std::int64_t trainable = 0;
  double flops = 0;               ///< of one forward pass
  std::int64_t weight_bytes = 0;  ///< parameters and buffers
  std::int64_t output_bytes = 0;  ///< of all results that are not views
};

/// A model's modules in the order of their paths, and their sums.
struct Summary {
  std::vector<SummaryRow> rows;
  SummaryRow total;
  Shape input_shape;
};

namespace detail {
CHAINRULE_API Summary summarize(FunctionRef<void(Visitor&)> visit, FunctionRef<Tensor(const Tensor&)> forward,
                                const Shape& input_shape, DType input_dtype);
}  // namespace detail

/// Shapes, parameters, floating-point operations and memory of each module for an input of this shape, in
/// evaluation mode. Counts come from the declarations of the operations that the model really makes; nothing
/// but unevaluated parameters is computed. Throws what the model throws for such an input.
template <Callable M>
Summary summarize(const M& model, const Shape& input_shape, DType input_dtype = DType::float32) {
  const auto visit = [&](Visitor& v) { v.visit_part(const_cast<M&>(model)); };
  const auto forward = [&](const Tensor& x) { return Tensor(model(x)); };
  return detail::summarize(visit, forward, input_shape, input_dtype);
}

/// The summary as a table.
CHAINRULE_API std::string to_string(const Summary& summary);

/// The table of a model's modules: see `summarize`.
template <Callable M>
std::string summary(const M& model, const Shape& input_shape, DType input_dtype = DType::float32) {
  return to_string(summarize(model, input_shape, input_dtype));
}

}  // namespace chainrule::nn
