// bfloat16 products by way of float32: for small ones, and for processors without tiles.

#include <algorithm>

#include <chainrule/buffer.hpp>

#include "kernels/cpu/products_detail.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

constexpr std::int64_t elements_per_thread = 16384;

/// A stack of equally shaped matrices whose rows lie `ld` and which themselves lie `stride` apart.
struct Stack {
  std::int64_t matrices, rows, cols, ld, stride;
  std::int64_t elements() const { return matrices * rows * cols; }
};

/// Calls line(packed offset, strided offset) for each row, on several threads.
template <typename Line>
void for_each_row(const Stack& s, Line line) {
  const std::int64_t grain = std::max<std::int64_t>(1, elements_per_thread / s.cols);
  parallel_for(s.matrices * s.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) line(i * s.cols, i / s.rows * s.stride + i % s.rows * s.ld);
  });
}

void widen(const bfloat16* from, float* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(from[i]);
}

void narrow(const float* from, bfloat16* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = bfloat16(from[i]);
}

class ConvertedProduct final : public Product {
 public:
  ConvertedProduct(const ProductShape& s, int threads, Epilogue epilogue)
      : a_{s.stride_a == 0 ? 1 : s.batch, s.transpose_a ? s.k : s.m, s.transpose_a ? s.m : s.k, s.lda,
           s.stride_a},
        b_{s.stride_b == 0 ? 1 : s.batch, s.transpose_b ? s.n : s.k, s.transpose_b ? s.k : s.n, s.ldb,
           s.stride_b},
        c_{s.batch, s.m, s.n, s.ldc, s.stride_c},
        bias_elements_(epilogue.bias ? s.n : 0) {
    ProductShape wide = dense_product(DType::float32, s.batch, s.m, s.n, s.k, s.transpose_a, s.transpose_b);
    if (s.stride_a == 0) wide.stride_a = 0;
    if (s.stride_b == 0) wide.stride_b = 0;
    product_ = Product::prepare(wide, threads, epilogue);
    const std::int64_t elements = a_.elements() + b_.elements() + c_.elements() + bias_elements_;
    scratch_ = Buffer::allocate(static_cast<std::size_t>(elements) * sizeof(float));
  }

  void run(const void* a, const void* b, void* c, const void* bias) const override {
    float* const wide_a = static_cast<float*>(scratch_.data());
    float* const wide_b = wide_a + a_.elements();
    float* const wide_c = wide_b + b_.elements();
    float* const wide_bias = wide_c + c_.elements();
    widen_stack(a_, static_cast<const bfloat16*>(a), wide_a);
    widen_stack(b_, static_cast<const bfloat16*>(b), wide_b);
    if (bias_elements_ > 0) widen(static_cast<const bfloat16*>(bias), wide_bias, bias_elements_);
    product_->run(wide_a, wide_b, wide_c, wide_bias);
    for_each_row(c_, [&](std::int64_t packed, std::int64_t strided) {
      narrow(wide_c + packed, static_cast<bfloat16*>(c) + strided, c_.cols);
    });
  }
  std::string_view implementation() const override { return "converted"; }

 private:
  static void widen_stack(const Stack& stack, const bfloat16* from, float* to) {
    for_each_row(stack, [&](std::int64_t packed, std::int64_t strided) {
      widen(from + strided, to + packed, stack.cols);
    });
  }

  Stack a_;
  Stack b_;
  Stack c_;
  std::int64_t bias_elements_;
  std::unique_ptr<Product> product_;
  Buffer scratch_;
};

}  // namespace

std::unique_ptr<Product> prepare_converted(const ProductShape& shape, int threads, Epilogue epilogue) {
  return std::make_unique<ConvertedProduct>(shape, threads, epilogue);
}

}  // namespace chainrule::kernels
