#pragma once

#include <cstdint>
#include <string_view>

#include <chainrule/shape.hpp>

#include "io/elements.hpp"
#include "io/file.hpp"

namespace chainrule::io {

struct NpyHeader {
  ElementFormat format;
  bool fortran_order = false;
  Shape shape;
};

/// Parses the Python literal of an NPY header, which begins at `begin` in the file: a dict with the keys
/// 'descr', 'fortran_order' and 'shape' in any order, each once. Anything else is an IoError.
NpyHeader parse_npy_header(const FileContext& context, std::string_view text, std::uint64_t begin);

}  // namespace chainrule::io
