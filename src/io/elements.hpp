#pragma once

#include <cstddef>

#include <chainrule/buffer.hpp>

#include "io/file.hpp"

/// From the numbers that files hold to the dtypes that arrays have.
namespace chainrule::io {

/// The number types found in files. Those without a dtype of their own are widened to the next one that
/// holds each of their values.
enum class WireType {
  boolean,
  uint8,
  int8,
  uint16,
  int16,
  uint32,
  int32,
  int64,
  bfloat16,
  float16,
  float32,
  float64
};

struct ElementFormat {
  WireType type = WireType::float32;
  bool big_endian = false;
};

/// Bytes of one element in the file.
std::size_t wire_size(WireType type);
/// int8, int16 and uint16 become int32; uint32 int64; float16 float32; the others stay.
DType widened_dtype(WireType type);

/// Fills `to`, whose dtype is `widened_dtype(format.type)`, with its `size()` elements from `reader`. Throws
/// IoError where the data end before, and for a bool that is neither 0 nor 1. `what` names the array.
void read_elements(ByteReader& reader, ElementFormat format, const HostArray& to, const char* what);

/// An array of `shape` read from `reader`, after checking that the data are there before allocating it.
HostArray read_array(ByteReader& reader, ElementFormat format, const Shape& shape, const char* what);

/// Throws ArgumentError unless the buffer of `array` holds all of its elements. What every writer asks of
/// its input; `function` and `argument` are named in the error.
void check_writable(const HostArray& array, const char* function, const std::string& argument);

}  // namespace chainrule::io
