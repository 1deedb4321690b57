// What a step checks before it commits: gradients that are products are read only where the operands leave
// open whether they are finite.

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "graph/plan.hpp"
#include "graph/profiler.hpp"
#include "ops/declarations.hpp"

namespace cr = chainrule;

namespace {

// Σ (x w) ∘ c, whose derivative by w is xᵀ c: larger than x and c together.
cr::Tensor weighed_product(const cr::Tensor& w, const cr::Tensor& x, const cr::Tensor& c) {
  return cr::sum(cr::matmul(x, w) * c);
}

// Whether a step with these rows of x and c commits; from w = 0, so that the loss is 0.
bool commits(const cr::Tensor& x, const cr::Tensor& c, cr::DType dtype = cr::DType::float32) {
  cr::Tensor w = cr::zeros({40, 30}, dtype).eval();
  auto step = cr::compile(
      [&](const cr::Tensor& a, const cr::Tensor& b) {
        auto [loss, gradient] = cr::value_and_grad(weighed_product)(w, a, b);
        w = w + gradient;
        return loss;
      },
      w);
  const cr::Tensor rows_of_x = cr::broadcast_to(x, {2, 40}).astype(dtype);
  const cr::Tensor rows_of_c = cr::broadcast_to(c, {2, 30}).astype(dtype);
  try {
    step(rows_of_x, rows_of_c).eval();
  } catch (const cr::NumericError&) {
    EXPECT_EQ(w.to_vector<double>(), std::vector<double>(1200, 0.0));
    return false;
  }
  const cr::Tensor wanted = cr::matmul(cr::transpose(rows_of_x), rows_of_c);
  EXPECT_EQ(w.to_vector<double>(), wanted.to_vector<double>());
  return true;
}

cr::Tensor column(double first, double second) {
  return cr::tensor({first, second}, cr::DType::float64).reshape({2, 1});
}

TEST(Commit, GradientsThatTheOperandsBound) {
  EXPECT_TRUE(commits(column(1, 2), column(3, -4)));
  EXPECT_TRUE(commits(column(0, 0), column(0, 0)));
  EXPECT_TRUE(commits(column(1e18, 1), column(1e18, -1)));
  EXPECT_TRUE(commits(column(1e150, 1), column(1e150, -1), cr::DType::float64));
  EXPECT_TRUE(commits(column(1e18, 1), column(1e18, -1), cr::DType::bfloat16));
}

TEST(Commit, GradientsThatTheOperandsDoNotBound) {
  EXPECT_TRUE(commits(column(1e30, 1), column(1, 1e30)));
  EXPECT_TRUE(commits(column(1e200, 1), column(1, 1e200), cr::DType::float64));
}

TEST(Commit, GradientsThatOverflow) {
  EXPECT_FALSE(commits(column(1e30, 1), column(1e30, 1)));
  EXPECT_FALSE(commits(column(1.5e19, 1.5e19), column(1.5e19, 1.5e19)));
  EXPECT_FALSE(commits(column(1e200, 1), column(-1e200, 1), cr::DType::float64));
  EXPECT_FALSE(commits(column(1e30, 1), column(1e30, 1), cr::DType::bfloat16));
}

// A step that was bounded says nothing of the next one.
TEST(Commit, EachRunIsLookedAt) {
  cr::Tensor w = cr::zeros({40, 30}).eval();
  auto step = cr::compile(
      [&](const cr::Tensor& x, const cr::Tensor& c) {
        auto [loss, gradient] = cr::value_and_grad(weighed_product)(w, x, c);
        w = 0.0 * w + gradient * 0.0;
        return loss;
      },
      w);
  const cr::Tensor small = cr::ones({2, 40}).eval();
  const cr::Tensor large = cr::full({2, 40}, 1e30, cr::DType::float32).eval();
  const cr::Tensor c = cr::full({2, 30}, 1e30, cr::DType::float32).eval();
  EXPECT_NO_THROW(step(small, c));
  EXPECT_THROW(step(large, c), cr::NumericError);
  EXPECT_NO_THROW(step(small, c));
}

cr::Plan plan_with_a_bounded_gradient() {
  cr::InstructionProfiler profiler;
  EXPECT_TRUE(commits(column(1, 2), column(3, 4)));
  for (const auto& record : profiler.records()) {
    for (const cr::Instruction& instruction : record.plan->instructions) {
      if (instruction.finite_by_inputs != nullptr) return *record.plan;
    }
  }
  ADD_FAILURE() << "no gradient is bounded";
  return {};
}

// The gradient is infinite here; with another answer in place of the kernel's, the commit goes by the answer.
TEST(Commit, GoesByTheAnswer) {
  const cr::Plan plan = plan_with_a_bounded_gradient();
  const auto runs = [&](bool (*answer)(const cr::KernelCall&)) {
    cr::Plan changed = plan;
    for (cr::Instruction& instruction : changed.instructions) {
      if (instruction.finite_by_inputs != nullptr) instruction.finite_by_inputs = answer;
    }
    cr::Execution execution(std::make_shared<const cr::Plan>(changed));
    std::vector<std::vector<float>> memory(plan.arrays_of_slot.size(), std::vector<float>(1200));
    const auto w = static_cast<std::size_t>(plan.first_input_slot());
    for (const std::size_t slot : {w + 1, w + 2}) memory[slot].assign(1200, 1e30F);
    for (std::size_t slot = w; slot < memory.size(); ++slot)
      execution.bind(static_cast<int>(slot), memory[slot].data());
    return execution.run();
  };
  EXPECT_FALSE(runs([](const cr::KernelCall&) { return false; }));
  EXPECT_TRUE(runs([](const cr::KernelCall&) { return true; }));
}

// The kernel's answer for operands of one number each. Where it is yes, so is the result's.
bool shown_finite(cr::DType dtype, std::int64_t k, double a, double b) {
  const cr::Tensor left = cr::full({3, k}, a, dtype).eval();
  const cr::Tensor right = cr::full({k, 2}, b, dtype).eval();
  std::vector<cr::HostArray> dense{left.to_host(), right.to_host()};
  std::vector<cr::kernels::Array> inputs;
  for (cr::HostArray& array : dense)
    inputs.push_back({array.buffer.data(), dtype, array.shape, cr::contiguous_strides(array.shape)});
  const cr::Kernel& kernel = cr::cpu_device().kernels(cr::ops::matmul)[0];
  const bool is_shown = kernel.finite_by_inputs({.inputs = inputs});
  if (is_shown) {
    EXPECT_TRUE(cr::all(cr::isfinite(cr::matmul(left, right))).item<bool>()) << a << " " << b;
  }
  return is_shown;
}

TEST(Commit, TheOperandsBoundTheProduct) {
  using cr::DType;
  const double infinity = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::float32, DType::bfloat16, DType::float64}) {
    // Elements of 0.75 * 2^e are below 2^e. With the 3 bits of k = 4, e + e + 3 is the most that is taken.
    const int most = dtype == DType::float64 ? 1024 : 128;
    const double largest = std::ldexp(0.75, (most - 4) / 2);
    EXPECT_TRUE(shown_finite(dtype, 4, largest, -largest));
    EXPECT_FALSE(shown_finite(dtype, 4, largest * 2, largest));
    EXPECT_FALSE(shown_finite(dtype, 8, largest, largest));
    EXPECT_FALSE(shown_finite(dtype, 4, infinity, 0));
    EXPECT_FALSE(shown_finite(dtype, 4, 0, std::numeric_limits<double>::quiet_NaN()));
    EXPECT_TRUE(shown_finite(dtype, 4, 0, 0));
    EXPECT_TRUE(shown_finite(dtype, 65536, 1, 1));
    EXPECT_FALSE(shown_finite(dtype, 65537, 1, 1)) << "rounding is not bounded for any number of terms";
  }
}

}  // namespace
