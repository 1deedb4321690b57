// Products without SIMD kernels: the reference, the integers, and the empty ones.

#include <algorithm>
#include <type_traits>

#include "kernels/cpu/products_detail.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

/// What sums of T are kept in.
template <typename T>
using Sum = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;

/// sum + a · b; modulo 2^bits for integers, without signed overflow.
template <typename T>
T multiply_add(T sum, T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using Wide = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
    return static_cast<T>(static_cast<Wide>(sum) + static_cast<Wide>(a) * static_cast<Wide>(b));
  } else {
    return sum + a * b;
  }
}

template <typename T>
T add(T a, T b) {
  return multiply_add(a, b, T{1});
}

template <typename T>
Sum<T> finished(Sum<T> sum, const T* bias, std::int64_t column, bool with_relu) {
  if (bias != nullptr) sum = add(sum, static_cast<Sum<T>>(bias[column]));
  return with_relu ? relu(sum) : sum;
}

/// Calls f with a value of the C++ type of `dtype`.
template <typename F>
auto with_type(DType dtype, F f) {
  switch (dtype) {
    case DType::uint8:
      return f(std::uint8_t{});
    case DType::int32:
      return f(std::int32_t{});
    case DType::int64:
      return f(std::int64_t{});
    case DType::bfloat16:
      return f(bfloat16{});
    case DType::float32:
      return f(float{});
    default:
      return f(double{});
  }
}

template <typename T>
class NaiveProduct final : public Product {
 public:
  NaiveProduct(const ProductShape& shape, Epilogue epilogue) : s_(shape), epilogue_(epilogue) {}
  void run(const void* a, const void* b, void* c, const void* bias) const override {
    for (std::int64_t entry = 0; entry < s_.batch; ++entry) {
      run_entry(static_cast<const T*>(a) + entry * s_.stride_a,
                static_cast<const T*>(b) + entry * s_.stride_b, static_cast<T*>(c) + entry * s_.stride_c,
                epilogue_.bias ? static_cast<const T*>(bias) : nullptr);
    }
  }
  std::string_view implementation() const override { return "naive"; }

 private:
  void run_entry(const T* a, const T* b, T* c, const T* bias) const {
    for (std::int64_t i = 0; i < s_.m; ++i) {
      for (std::int64_t j = 0; j < s_.n; ++j) {
        Sum<T> sum{};
        for (std::int64_t p = 0; p < s_.k; ++p) {
          sum = multiply_add(sum, static_cast<Sum<T>>(s_.transpose_a ? a[p * s_.lda + i] : a[i * s_.lda + p]),
                             static_cast<Sum<T>>(s_.transpose_b ? b[j * s_.ldb + p] : b[p * s_.ldb + j]));
        }
        c[i * s_.ldc + j] = static_cast<T>(finished<T>(sum, bias, j, epilogue_.relu));
      }
    }
  }
  ProductShape s_;
  Epilogue epilogue_;
};

/// Row after row of C; the inner loop runs along stored rows, so that the compiler vectorizes it.
template <typename T>
class LoopsProduct final : public Product {
 public:
  LoopsProduct(const ProductShape& shape, Epilogue epilogue) : s_(shape), epilogue_(epilogue) {}
  void run(const void* a, const void* b, void* c, const void* bias) const override {
    constexpr double operations_per_thread = 2e4;
    const double row_operations = static_cast<double>(s_.n) * static_cast<double>(s_.k);
    const auto grain = static_cast<std::int64_t>(std::max(1.0, operations_per_thread / row_operations));
    parallel_for(s_.batch * s_.m, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t line = begin; line < end; ++line) {
        const std::int64_t entry = line / s_.m;
        const std::int64_t row = line % s_.m;
        const T* const from = static_cast<const T*>(a) + entry * s_.stride_a;
        run_row(s_.transpose_a ? from + row : from + row * s_.lda,
                static_cast<const T*>(b) + entry * s_.stride_b,
                static_cast<T*>(c) + entry * s_.stride_c + row * s_.ldc,
                epilogue_.bias ? static_cast<const T*>(bias) : nullptr);
      }
    });
  }
  std::string_view implementation() const override { return "loops"; }

 private:
  void run_row(const T* a, const T* b, T* c, const T* bias) const {
    const std::int64_t step = s_.transpose_a ? s_.lda : 1;
    if (s_.transpose_b) {
      for (std::int64_t j = 0; j < s_.n; ++j) {
        T sum{};
        for (std::int64_t p = 0; p < s_.k; ++p) sum = multiply_add(sum, a[p * step], b[j * s_.ldb + p]);
        c[j] = sum;
      }
    } else {
      std::fill_n(c, s_.n, T{});
      for (std::int64_t p = 0; p < s_.k; ++p) {
        const T factor = a[p * step];
        const T* const line = b + p * s_.ldb;
        for (std::int64_t j = 0; j < s_.n; ++j) c[j] = multiply_add(c[j], factor, line[j]);
      }
    }
    if (bias == nullptr && !epilogue_.relu) return;
    for (std::int64_t j = 0; j < s_.n; ++j) c[j] = finished<T>(c[j], bias, j, epilogue_.relu);
  }
  ProductShape s_;
  Epilogue epilogue_;
};

template <typename T>
class EmptyProduct final : public Product {
 public:
  EmptyProduct(const ProductShape& shape, Epilogue epilogue) : s_(shape), epilogue_(epilogue) {}
  void run(const void*, const void*, void* c, const void* bias) const override {
    if (s_.batch == 0 || s_.m == 0 || s_.n == 0) return;
    for (std::int64_t entry = 0; entry < s_.batch; ++entry) {
      for (std::int64_t i = 0; i < s_.m; ++i) {
        T* const row = static_cast<T*>(c) + entry * s_.stride_c + i * s_.ldc;
        for (std::int64_t j = 0; j < s_.n; ++j) {
          const T* const values = epilogue_.bias ? static_cast<const T*>(bias) : nullptr;
          row[j] = static_cast<T>(finished<T>(Sum<T>{}, values, j, epilogue_.relu));
        }
      }
    }
  }
  std::string_view implementation() const override { return "empty"; }

 private:
  ProductShape s_;
  Epilogue epilogue_;
};

}  // namespace

std::unique_ptr<Product> prepare_empty(const ProductShape& shape, Epilogue epilogue) {
  return with_type(shape.dtype, [&](auto type) -> std::unique_ptr<Product> {
    return std::make_unique<EmptyProduct<decltype(type)>>(shape, epilogue);
  });
}

std::unique_ptr<Product> prepare_naive(const ProductShape& shape, Epilogue epilogue) {
  return with_type(shape.dtype, [&](auto type) -> std::unique_ptr<Product> {
    return std::make_unique<NaiveProduct<decltype(type)>>(shape, epilogue);
  });
}

std::unique_ptr<Product> prepare_loops(const ProductShape& shape, Epilogue epilogue) {
  switch (shape.dtype) {
    case DType::uint8:
      return std::make_unique<LoopsProduct<std::uint8_t>>(shape, epilogue);
    case DType::int32:
      return std::make_unique<LoopsProduct<std::int32_t>>(shape, epilogue);
    case DType::int64:
      return std::make_unique<LoopsProduct<std::int64_t>>(shape, epilogue);
    default:
      return prepare_naive(shape, epilogue);
  }
}

}  // namespace chainrule::kernels
