#include <string_view>

#include <chainrule/expression.hpp>
#include <chainrule/tensor.hpp>

#include "fuzz.hpp"

// A formula that was read is put to use, where it is a short one.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  try {
    const chainrule::Expression f = chainrule::parse_expression({reinterpret_cast<const char*>(bytes), size});
    if (size > 200) return 0;
    const std::vector<chainrule::Tensor> values(f.variables().size(), chainrule::Tensor(0.5));
    chainrule::format_expression(f(values));
  } catch (const chainrule::Error&) {
  }
  return 0;
}
