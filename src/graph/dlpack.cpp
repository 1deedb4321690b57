#include <chainrule/dlpack.hpp>

#include <memory>
#include <utility>

#include <chainrule/error.hpp>

#include "graph/node.hpp"

namespace chainrule {
namespace {

// The protocol's structures, as dlpack.h of DLPack 0.8 lays them out
// (https://dmlc.github.io/dlpack/latest/c_api.html).
struct DlDevice {
  std::int32_t type;  // 1: CPU
  std::int32_t id;
};
struct DlDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct DlTensor {
  void* data;
  DlDevice device;
  std::int32_t rank;
  DlDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;  // elements; null: row-major
  std::uint64_t byte_offset;
};
struct DlManagedTensor {
  DlTensor tensor;
  void* context;
  void (*deleter)(DlManagedTensor* self);
};

constexpr std::int32_t cpu_device_type = 1;

struct TypeRow {
  DType dtype;
  DlDataType code;
};
// Codes: 0 signed, 1 unsigned, 2 IEEE float, 4 bfloat, 6 bool.
constexpr TypeRow type_rows[] = {{DType::boolean, {6, 8, 1}},   {DType::uint8, {1, 8, 1}},
                                 {DType::int32, {0, 32, 1}},    {DType::int64, {0, 64, 1}},
                                 {DType::bfloat16, {4, 16, 1}}, {DType::float32, {2, 32, 1}},
                                 {DType::float64, {2, 64, 1}}};

DType dtype_of_code(const DlDataType& type) {
  for (const TypeRow& row : type_rows) {
    if (row.code.code == type.code && row.code.bits == type.bits && row.code.lanes == type.lanes)
      return row.dtype;
  }
  throw DTypeError({.function = "from_dlpack",
                    .argument = "managed",
                    .problem = "an element type that Chainrule does not have",
                    .got = "code " + std::to_string(type.code) + ", " + std::to_string(type.bits) +
                           " bits, " + std::to_string(type.lanes) + " lanes",
                    .wanted = "bool, uint8, int32, int64, bfloat16, float32 or float64"});
}

// What an exported tensor keeps alive.
struct Export {
  DlManagedTensor managed;
  Tensor tensor;
  Shape shape;
  Strides strides;
};

}  // namespace

Tensor from_dlpack(void* pointer) {
  auto* managed = static_cast<DlManagedTensor*>(pointer);
  if (managed == nullptr || managed->tensor.device.type != cpu_device_type) {
    throw ArgumentError(
        {.function = "from_dlpack",
         .argument = "managed",
         .problem = managed == nullptr ? "a null pointer" : "the memory is not the CPU's",
         .got = managed == nullptr ? "null" : "device type " + std::to_string(managed->tensor.device.type),
         .wanted = "a tensor in CPU memory (device type 1)"});
  }
  const DlTensor& source = managed->tensor;
  const DType dtype = dtype_of_code(source.dtype);
  const Shape shape(std::span<const std::int64_t>(source.shape, static_cast<std::size_t>(source.rank)));
  const std::int64_t count = element_count(shape);
  const Strides strides =
      source.strides == nullptr
          ? contiguous_strides(shape)
          : Strides(std::span<const std::int64_t>(source.strides, static_cast<std::size_t>(source.rank)));
  // Negative strides reach below the first element: the block begins at the lowest one.
  std::int64_t lowest = 0;
  std::int64_t highest = 0;
  for (int i = 0; count > 0 && i < shape.size(); ++i) {
    const std::int64_t reach = (shape[i] - 1) * strides[i];
    (reach < 0 ? lowest : highest) += reach;
  }
  const auto size = static_cast<std::int64_t>(dtype_size(dtype));
  const auto* first = static_cast<const std::byte*>(source.data) + source.byte_offset;
  const auto release = [managed] {
    if (managed->deleter != nullptr) managed->deleter(managed);
  };
  const std::size_t bytes = count == 0 ? 0 : static_cast<std::size_t>((highest - lowest + 1) * size);
  return make_leaf({shape, dtype}, {Buffer::borrow(first + lowest * size, bytes, release), -lowest, strides});
}

void* to_dlpack(const Tensor& x) {
  x.eval();
  const TensorSpec& spec = spec_of(x);
  auto exported = std::make_unique<Export>();
  exported->tensor = x;
  exported->shape = spec.shape;
  exported->strides = storage_of(x).strides;
  DlTensor& target = exported->managed.tensor;
  target.data = data_of(x);
  target.device = {cpu_device_type, 0};
  target.rank = spec.shape.size();
  for (const TypeRow& row : type_rows) {
    if (row.dtype == spec.dtype) target.dtype = row.code;
  }
  target.shape = exported->shape.begin();
  target.strides = exported->strides.begin();
  target.byte_offset = 0;
  exported->managed.context = exported.get();
  exported->managed.deleter = [](DlManagedTensor* self) { delete static_cast<Export*>(self->context); };
  return &exported.release()->managed;
}

}  // namespace chainrule
