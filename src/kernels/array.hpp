#pragma once

#include <cstdint>

#include <chainrule/dtype.hpp>
#include <chainrule/shape.hpp>

/// What kernels know: pointers, dtypes, shapes, strides. Nothing of tensors, graphs or derivatives, so
/// that each kernel can be tested and timed alone, and another device is another folder.
namespace chainrule::kernels {

/// A strided view of memory. Strides count elements and may be 0 (broadcast) or negative (flipped).
struct Array {
  void* data = nullptr;
  DType dtype = DType::float32;
  Shape shape;
  Strides strides;

  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
  std::int64_t size() const { return element_count(shape); }
};

}  // namespace chainrule::kernels
