#include "kernels/cpu/matmul.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

#include "kernels/cpu/finite.hpp"
#include "kernels/cpu/products.hpp"
#include "kernels/parallel.hpp"

namespace chainrule {
namespace {

using kernels::Array;

// How the last two axes of an operand lie in memory.
struct MatrixLayout {
  bool fits = false;
  bool transposed = false;
  std::int64_t leading = 1;  // distance between stored rows
};

MatrixLayout layout_of(const Array& array) {
  const int rank = array.shape.size();
  const std::int64_t rows = array.shape[rank - 2];
  const std::int64_t columns = array.shape[rank - 1];
  // Strides along axes of length 1 mean nothing.
  const std::int64_t row_stride = rows == 1 ? std::max<std::int64_t>(columns, 1) : array.strides[rank - 2];
  const std::int64_t column_stride = columns == 1 ? 1 : array.strides[rank - 1];
  if (column_stride == 1 && row_stride >= columns)
    return {true, false, std::max<std::int64_t>(row_stride, 1)};
  const std::int64_t stored_row = columns == 1 ? std::max<std::int64_t>(rows, 1) : array.strides[rank - 1];
  const bool unit_rows = rows == 1 || array.strides[rank - 2] == 1;
  if (unit_rows && stored_row >= rows) return {true, true, std::max<std::int64_t>(stored_row, 1)};
  return {};
}

bool accepts(const Array& array, std::size_t) { return array.size() == 0 || layout_of(array).fits; }

// A product for one run of equally spaced matrices, and the outer positions to repeat it for.
struct PreparedMatmul {
  std::unique_ptr<kernels::Product> product;
  std::vector<std::int64_t> a_offsets, b_offsets, c_offsets;  // elements, one per repetition
};

std::int64_t batch_stride(const Array& array, int axis, int batch_rank) {
  const int own = axis - (batch_rank - (array.shape.size() - 2));
  return own < 0 || array.shape[own] == 1 ? 0 : array.strides[own];
}

std::shared_ptr<void> prepare(const Node&, std::span<const Array> inputs, std::span<const Array> outputs) {
  const Array& a = inputs[0];
  const Array& b = inputs[1];
  const Array& c = outputs[0];
  const int batch_rank = c.shape.size() - 2;
  kernels::ProductShape shape;
  shape.dtype = c.dtype;
  shape.m = c.shape[batch_rank];
  shape.n = c.shape[batch_rank + 1];
  shape.k = a.shape.back();
  const MatrixLayout la = layout_of(a);
  const MatrixLayout lb = layout_of(b);
  shape.transpose_a = la.transposed;
  shape.transpose_b = lb.transposed;
  shape.lda = std::max({la.leading, std::int64_t{1}, la.transposed ? shape.m : shape.k});
  shape.ldb = std::max({lb.leading, std::int64_t{1}, lb.transposed ? shape.k : shape.n});
  shape.ldc = std::max<std::int64_t>(shape.n, 1);
  // The innermost batch axis runs inside the product, the others are repetitions.
  auto prepared = std::make_shared<PreparedMatmul>();
  std::int64_t repetitions = 1;
  if (batch_rank > 0) {
    const int inner = batch_rank - 1;
    shape.batch = c.shape[inner];
    shape.stride_a = batch_stride(a, inner, batch_rank);
    shape.stride_b = batch_stride(b, inner, batch_rank);
    shape.stride_c = shape.m * shape.n;
    for (int i = 0; i < inner; ++i) repetitions *= c.shape[i];
  }
  for (std::int64_t r = 0; r < repetitions; ++r) {
    std::int64_t rest = r;
    std::int64_t at_a = 0;
    std::int64_t at_b = 0;
    for (int axis = batch_rank - 2; axis >= 0; --axis) {
      const std::int64_t i = rest % c.shape[axis];
      rest /= c.shape[axis];
      at_a += i * batch_stride(a, axis, batch_rank);
      at_b += i * batch_stride(b, axis, batch_rank);
    }
    prepared->a_offsets.push_back(at_a);
    prepared->b_offsets.push_back(at_b);
    prepared->c_offsets.push_back(r * shape.batch * shape.m * shape.n);
  }
  prepared->product = kernels::Product::prepare(shape, thread_count());
  return prepared;
}

void run(const KernelCall& call) {
  const auto& prepared = *static_cast<const PreparedMatmul*>(call.prepared);
  const auto size = static_cast<std::int64_t>(dtype_size(call.outputs[0].dtype));
  const auto at = [&](const Array& array, std::int64_t offset) {
    return array.as<std::byte>() + offset * size;
  };
  for (std::size_t i = 0; i < prepared.a_offsets.size(); ++i) {
    prepared.product->run(at(call.inputs[0], prepared.a_offsets[i]),
                          at(call.inputs[1], prepared.b_offsets[i]),
                          at(call.outputs[0], prepared.c_offsets[i]));
  }
}

const char* refuse(const Node& node) {
  return node.outputs[0].dtype == DType::boolean ? "bools have no products" : nullptr;
}

// |Σ_p A(i, p)·B(p, j)| ≤ k · max|A| · max|B|, and rounding of sums and products adds less than as much
// again.
bool finite_by_inputs(const KernelCall& call) {
  const Array& a = call.inputs[0];
  const DType dtype = a.dtype;
  const auto k = static_cast<std::uint64_t>(a.shape.back());
  constexpr std::uint64_t most_terms = 65536;  // (1 + 2^-24)^k is below 2 by far
  if (!is_floating(dtype) || k > most_terms) return false;
  if (!kernels::is_gapless(a) || !kernels::is_gapless(call.inputs[1])) return false;
  const std::optional<int> largest_a = kernels::magnitude_exponent(a);
  const std::optional<int> largest_b = kernels::magnitude_exponent(call.inputs[1]);
  const int most = dtype == DType::float64 ? std::numeric_limits<double>::max_exponent
                                           : std::numeric_limits<float>::max_exponent;
  return largest_a && largest_b && *largest_a + *largest_b + static_cast<int>(std::bit_width(k)) < most;
}

}  // namespace

Kernel matmul_kernel() {
  return {.name = "product",
          .refuse = refuse,
          .accepts = accepts,
          .prepare = prepare,
          .run = run,
          .finite_by_inputs = finite_by_inputs};
}

}  // namespace chainrule
