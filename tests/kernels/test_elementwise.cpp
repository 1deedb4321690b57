#include <cmath>
#include <cstdint>
#include <new>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cpu/elementwise.hpp"
#include "kernels/parallel.hpp"

namespace chainrule::kernels {
namespace {

// Aligned as a tensor's memory is.
template <class T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t alignment{64};
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), alignment)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, alignment); }
  bool operator==(const AlignedAllocator&) const = default;
};
using Floats = std::vector<float, AlignedAllocator<float>>;

Array dense_floats(Floats& values) {
  return {values.data(), DType::float32, Shape{static_cast<std::int64_t>(values.size())}, Dims{1}};
}

// floor(a) b + 2, or a b + 2: two steps or one, since a floor is part of no chain.
ElementProgram product_program(const Array& a, const Array& b, const Array& two, bool with_floor) {
  ElementProgram program;
  for (const Array& input : {a, b, two}) {
    program.inputs.push_back(access_of(input, a.shape));
    program.periods.push_back(period_of(input, a.shape));
  }
  const auto kernel = [](const char* op) { return find_lane_kernel(op, DType::float32); };
  std::int32_t last = 0;
  std::int32_t next = 3;
  const auto add_step = [&](const char* op, std::vector<std::int32_t> inputs) {
    program.steps.push_back({.kernel = kernel(op), .inputs = std::move(inputs), .output = next});
    last = next++;
  };
  if (with_floor) add_step("floor", {last});
  add_step("mul", {last, 1});
  add_step("add", {last, 2});
  program.registers.assign(static_cast<std::size_t>(next), DType::float32);
  program.outputs = {last};
  program.stored_late = {false};
  EXPECT_TRUE(assign_tiles(program));
  EXPECT_EQ(program.steps.size(), with_floor ? 2 : 1);
  return program;
}

// Around the lengths of a vector, a chain's block and a tile, and a result that is written past the caches.
TEST(Elementwise, EveryLength) {
  float two_value = 2;
  const Array two{&two_value, DType::float32, {}, {}};
  for (const std::size_t n : {1, 15, 16, 17, 127, 128, 129, 1023, 1024, 1025, 5000, 9000001}) {
    Floats a(n);
    Floats b(n);
    for (std::size_t i = 0; i < n; ++i) {
      a[i] = static_cast<float>(i % 1001) / 4 - 100;
      b[i] = static_cast<float>(i % 37) - 18;
    }
    const Floats before = a;
    for (const bool with_floor : {false, true}) {
      for (const bool in_place : {false, true}) {
        Floats out(n, -1);
        a = before;
        const Array inputs[] = {dense_floats(a), dense_floats(b), two};
        const Array outputs[] = {dense_floats(in_place ? a : out)};
        run_elementwise(product_program(inputs[0], inputs[1], two, with_floor), inputs, outputs);
        const Floats& got = in_place ? a : out;
        std::size_t wrong = 0;
        // Exact: few bits before the point and two after it.
        for (std::size_t i = 0; i < n; ++i)
          wrong += got[i] != (with_floor ? std::floor(before[i]) : before[i]) * b[i] + 2 ? 1 : 0;
        EXPECT_EQ(wrong, 0) << n << (with_floor ? ", two steps" : "") << (in_place ? ", in place" : "");
      }
    }
  }
}

// Tiles that hold a whole number of rows of 48, in a result that is written past the caches, in two parts.
TEST(Elementwise, RepeatedRowsInAStreamedResult) {
  constexpr std::int64_t rows = 190001, width = 48;
  float two_value = 2;
  const Array two{&two_value, DType::float32, {}, {}};
  Floats a(static_cast<std::size_t>(rows * width)), b(width), out(a.size(), -1);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 1001) / 4 - 100;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i) - 18;
  const auto matrix = [&](Floats& values) {
    return Array{values.data(), DType::float32, Shape{rows, width}, Dims{width, 1}};
  };
  const Array inputs[] = {matrix(a), dense_floats(b), two};
  const Array outputs[] = {matrix(out)};
  const ElementProgram program = product_program(inputs[0], inputs[1], two, false);
  EXPECT_EQ(program.inputs[1], ElementAccess::repeated);
  set_thread_count(2);
  run_elementwise(program, inputs, outputs);
  set_thread_count(0);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < a.size(); ++i) wrong += out[i] != a[i] * b[i % width] + 2 ? 1 : 0;
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace chainrule::kernels
