#pragma once

#include <string>

#include <chainrule/buffer.hpp>

#include "io/file.hpp"

namespace chainrule::io {

/// One array in NPY format that takes all of `reader`'s bytes. `what` names it in errors.
HostArray read_npy(ByteReader& reader, const char* what);

/// What stands before the data in version 1.0 of the format, as `numpy.save` writes it: a multiple of 64
/// bytes. Throws DTypeError for bfloat16; `argument` names the array in the error.
std::string npy_header(const HostArray& array, const char* function, const std::string& argument);

}  // namespace chainrule::io
