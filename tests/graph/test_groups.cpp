// Fused passes at their limits: many inputs, many values alive, dtypes that are widened on the way, results
// that are written over inputs.

#include <cmath>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include <chainrule/ops.hpp>
#include <chainrule/threads.hpp>

#include "graph/plan.hpp"

namespace cr = chainrule;

namespace {

constexpr int many = 14;

// Element j of tensor i is (i + j) mod 8: sums of many of them are exact in bfloat16.
std::vector<cr::Tensor> small_integers(cr::DType dtype, std::int64_t rows, std::int64_t columns) {
  std::vector<cr::Tensor> result;
  for (int i = 0; i < many; ++i) {
    std::vector<float> values(static_cast<std::size_t>(rows * columns));
    for (std::size_t j = 0; j < values.size(); ++j)
      values[j] = static_cast<float>((static_cast<std::size_t>(i) + j) % 8);
    result.push_back(cr::Tensor::from(values, {rows, columns}).astype(dtype).eval());
  }
  return result;
}

TEST(Groups, ASumOfManyBfloat16TensorsIsExact) {
  const std::vector<cr::Tensor> x = small_integers(cr::DType::bfloat16, 3, 700);
  cr::Tensor total = x[0];
  for (int i = 1; i < many; ++i) total = total + x[static_cast<std::size_t>(i)];
  const std::vector<float> got = total.astype(cr::DType::float32).to_vector<float>();
  for (std::size_t j = 0; j < got.size(); ++j) {
    float expected = 0;
    for (std::size_t i = 0; i < many; ++i) expected += static_cast<float>((i + j) % 8);
    ASSERT_EQ(got[j], expected) << "element " << j;
  }
}

// All exponentials are alive before the first sum; each input is read again at the end.
TEST(Groups, ManyExponentialsAndTheirSum) {
  for (const cr::DType dtype : {cr::DType::bfloat16, cr::DType::float32}) {
    for (const bool transposed : {false, true}) {
      std::vector<cr::Tensor> x = small_integers(dtype, transposed ? 700 : 3, transposed ? 3 : 700);
      std::vector<cr::Tensor> powers;
      for (cr::Tensor& input : x) {
        if (transposed) input = cr::transpose(input);
        powers.push_back(cr::exp(-input));
      }
      cr::Tensor total = powers[0];
      for (std::size_t i = 1; i < many; ++i) total = total + powers[i];
      for (const cr::Tensor& input : x) total = total + input;
      const std::vector<float> got = total.astype(cr::DType::float32).to_vector<float>();
      for (std::size_t j = 0; j < got.size(); ++j) {
        const std::size_t place = transposed ? j % 700 * 3 + j / 700 : j;
        double expected = 0;
        for (std::size_t i = 0; i < many; ++i) {
          const auto value = static_cast<double>((i + place) % 8);
          expected += std::exp(-value) + value;
        }
        const double tolerance = dtype == cr::DType::float32 ? 1e-5 : 1.0 / 16;
        ASSERT_NEAR(got[j], expected, tolerance * expected) << cr::dtype_name(dtype) << " element " << j;
      }
    }
  }
}

// Inputs that begin anew within a tile, at its end, and after more than it holds, alone and together, on any
// number of threads: small integers, whose sums are exact.
TEST(Groups, InputsThatRepeatAreReadInTheirPlaces) {
  const auto counting = [](const cr::Shape& shape, std::int64_t modulus) {
    std::vector<float> values(static_cast<std::size_t>(cr::element_count(shape)));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(static_cast<std::int64_t>(i) % modulus);
    return cr::Tensor::from(values, shape);
  };
  for (const int threads : {1, 3}) {
    cr::set_thread_count(threads);
    for (const std::int64_t n : {1, 2, 10, 16, 100, 341, 342, 500, 1023, 1024, 1025, 3000}) {
      const std::int64_t outer = 40;
      const std::int64_t inner = 7;
      const cr::Tensor x = counting({outer, inner, n}, 97);
      const cr::Tensor row = counting({n}, 89);
      const cr::Tensor matrix = counting({inner, n}, 83);
      const cr::Tensor middle = counting({outer, 1, n}, 79);
      const cr::Tensor column = counting({inner, 1}, 73);
      const std::vector<float> got = (x + row + matrix + middle + column * 2.0f).to_vector<float>();
      for (std::int64_t i = 0; i < x.size(); ++i) {
        const std::int64_t o = i / (inner * n);
        const std::int64_t p = i / n % inner;
        const std::int64_t j = i % n;
        const auto wanted = static_cast<float>(i % 97 + j % 89 + (p * n + j) % 83 + (o * n + j) % 79 + p * 2);
        ASSERT_EQ(got[static_cast<std::size_t>(i)], wanted) << "n " << n << " element " << i;
      }
    }
  }
  cr::set_thread_count(0);
}

// ---- random programs, fused and written in place against one op at a time ----

constexpr std::int64_t rows = 5;
constexpr std::int64_t columns = 230;

struct Program {
  cr::LoweredGraph graph;
  std::vector<cr::Strides> strides;
  std::vector<std::vector<double>> memory;  // per input, enough for any dtype
  int states = 0;
};

double drawn(std::mt19937& random) { return std::uniform_real_distribution<double>(-2, 2)(random); }

void add_input(Program& program, std::mt19937& random, cr::DType dtype, const cr::Shape& shape,
               const cr::Strides& strides) {
  program.graph.inputs.push_back(cr::make_placeholder({shape, dtype}));
  program.strides.push_back(strides);
  std::vector<double> memory(rows * columns);
  for (std::size_t i = 0; i < memory.size(); ++i) {
    const double value = drawn(random);
    const auto narrow = static_cast<float>(value);
    if (dtype == cr::DType::float64) memory[i] = value;
    if (dtype == cr::DType::float32) std::memcpy(reinterpret_cast<float*>(memory.data()) + i, &narrow, 4);
    if (dtype == cr::DType::bfloat16)
      std::memcpy(reinterpret_cast<std::uint16_t*>(memory.data()) + i,
                  reinterpret_cast<const std::byte*>(&narrow) + 2, 2);
  }
  program.memory.push_back(std::move(memory));
}

cr::Tensor random_step(std::mt19937& random, const std::vector<cr::Tensor>& values) {
  const auto pick = [&]() { return values[random() % values.size()]; };
  const cr::Tensor x = pick();
  const cr::Tensor wide = x.dtype() == cr::DType::bfloat16 ? x.astype(cr::DType::float32) : x;
  switch (random() % 8) {
    case 0:
      return x.astype(cr::DType::bfloat16);
    case 1:
      return x.astype(cr::DType::float32);
    case 2:
      return x.astype(cr::DType::float64);
    case 3:
      return cr::sin(wide);
    case 4:
      return cr::tanh(wide) - 0.5;
    default:
      break;
  }
  const cr::Tensor y = pick().astype(wide.dtype());
  return random() % 2 == 0 ? cr::maximum(wide, y) : wide * 0.5 + y * 0.25;
}

Program random_program(unsigned seed) {
  std::mt19937 random(seed);
  Program program;
  const cr::Shape shape{rows, columns};
  program.states = static_cast<int>(random() % 4);
  const cr::DType dtypes[] = {cr::DType::float32, cr::DType::bfloat16, cr::DType::float64};
  for (int i = 0; i < program.states; ++i)
    add_input(program, random, cr::DType::float32, shape, cr::contiguous_strides(shape));
  const auto more = static_cast<unsigned>(4 + random() % 14);
  for (unsigned i = 0; i < more; ++i) {
    const cr::DType dtype = dtypes[random() % 3];
    const auto layout = random() % 4;
    if (layout == 0) add_input(program, random, dtype, shape, cr::contiguous_strides(shape));
    if (layout == 1) add_input(program, random, dtype, shape, cr::Strides{1, rows});
    if (layout == 2) add_input(program, random, dtype, {columns}, cr::Strides{1});
    if (layout == 3) add_input(program, random, dtype, {}, cr::Strides{});
  }
  std::vector<cr::Tensor> values = program.graph.inputs;
  // Most values are read soon after they appear, some much later.
  for (unsigned i = 0; i < 40; ++i) {
    std::vector<cr::Tensor> near(values.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(
                                                    values.size(), random() % 3 == 0 ? 40 : 6)),
                                 values.end());
    values.push_back(random_step(random, near));
  }
  std::vector<cr::Tensor> full;
  for (const cr::Tensor& x : values) {
    if (x.shape() == shape) full.push_back(x);
  }
  for (int i = 0; i < program.states; ++i)
    program.graph.outputs.push_back(
        full[full.size() - 1 - random() % std::min<std::size_t>(full.size(), 9)].astype(cr::DType::float32));
  for (unsigned i = 0; i < 1 + random() % 3; ++i)
    program.graph.outputs.push_back(full[full.size() - 1 - random() % std::min<std::size_t>(full.size(), 9)]);
  return program;
}

// The outputs' bytes; the program's memory is left alone.
std::vector<std::vector<std::byte>> run(const Program& program, cr::PlanOptions options, int* passes) {
  options.input_strides = program.strides;
  cr::Execution execution(cr::build_plan(program.graph, cr::cpu_device(), options));
  const cr::Plan& plan = execution.plan();
  std::vector<std::vector<double>> memory = program.memory;
  for (std::size_t i = 0; i < memory.size(); ++i)
    execution.bind(plan.first_input_slot() + static_cast<int>(i), memory[i].data());
  std::vector<std::vector<double>> escaping;
  for (const std::size_t bytes : plan.escaping_bytes) escaping.emplace_back(bytes / 8 + 1);
  for (std::size_t i = 0; i < escaping.size(); ++i)
    execution.bind(plan.first_escaping_slot() + static_cast<int>(i), escaping[i].data());
  execution.run();
  if (passes != nullptr) *passes = static_cast<int>(plan.instructions.size());
  std::vector<std::vector<std::byte>> results;
  for (const cr::Plan::ArraySpec& output : plan.outputs) {
    const auto* base =
        static_cast<const std::byte*>(execution.base(output.location.slot)) + output.location.offset;
    const auto size = static_cast<std::int64_t>(cr::dtype_size(output.spec.dtype));
    results.emplace_back();
    for (std::int64_t i = 0; i < rows * columns; ++i) {
      const std::int64_t at =
          i / columns * output.location.strides[0] + i % columns * output.location.strides[1];
      results.back().insert(results.back().end(), base + at * size, base + (at + 1) * size);
    }
  }
  return results;
}

TEST(Groups, RandomProgramsGiveTheSameBitsFusedAndOneByOne) {
  int fused_passes = 0;
  int passes = 0;
  for (unsigned seed = 0; seed < 400; ++seed) {
    const Program program = random_program(seed);
    int count = 0;
    const auto expected = run(program, {.fuse = false, .keep_all = true}, &count);
    passes += count;
    EXPECT_EQ(run(program, {.fuse = true, .own_outputs = true}, &count), expected) << "seed " << seed;
    fused_passes += count;
    EXPECT_EQ(run(program, {.fuse = true, .state_count = program.states}, nullptr), expected)
        << "in place, seed " << seed;
  }
  EXPECT_LT(fused_passes, passes / 2);
}

}  // namespace
