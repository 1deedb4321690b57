#include <chainrule/dtype.hpp>

#include <array>
#include <string>

#include <chainrule/error.hpp>

namespace chainrule {
namespace {

struct Row {
  std::string_view name;
  std::size_t size;
  DTypeCategory category;
};

constexpr std::array<Row, dtype_count> rows = {{
    {"bool", 1, DTypeCategory::boolean},
    {"uint8", 1, DTypeCategory::integer},
    {"int32", 4, DTypeCategory::integer},
    {"int64", 8, DTypeCategory::integer},
    {"bfloat16", 2, DTypeCategory::floating},
    {"float32", 4, DTypeCategory::floating},
    {"float64", 8, DTypeCategory::floating},
}};

const Row& row(DType dtype) { return rows[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::string_view dtype_name(DType dtype) { return row(dtype).name; }
std::size_t dtype_size(DType dtype) { return row(dtype).size; }
DTypeCategory dtype_category(DType dtype) { return row(dtype).category; }

// The enumeration lists the dtypes by category and then by width, so promotion is the larger one.
DType promote(DType a, DType b) { return a < b ? b : a; }

DType dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].name == name) return static_cast<DType>(i);
  }
  throw ArgumentError({.function = "dtype_from_name",
                       .argument = "name",
                       .problem = "no such dtype",
                       .got = std::string(name),
                       .wanted = "bool, uint8, int32, int64, bfloat16, float32 or float64"});
}

}  // namespace chainrule
