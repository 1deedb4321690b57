#pragma once

#include <chainrule/tensor.hpp>

/// DLPack (version 0 of the protocol): exchanging tensors with other libraries without a copy. Both functions
/// speak of `DLManagedTensor*`, declared by the exchange partner's own dlpack.h; here it is a `void*`, so
/// that no header has to agree.
namespace chainrule {

/// Takes over a `DLManagedTensor*` in CPU memory; its deleter is called when the last tensor that looks at
/// the memory is gone. The memory is never written. Throws DTypeError for an element type that Chainrule does
/// not have, ArgumentError for another device or a null pointer; the caller then still owns it.
CHAINRULE_API Tensor from_dlpack(void* managed);

/// A new `DLManagedTensor*` that shares x's memory. Whoever receives it calls its deleter, once, and does not
/// write to the memory.
CHAINRULE_API void* to_dlpack(const Tensor& x);

}  // namespace chainrule
