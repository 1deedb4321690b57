#include "kernels/cpu/reduce.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "kernels/lane_checks.hpp"
#include "kernels/page_end.hpp"
#include "kernels/parallel.hpp"
#include "kernels/views.hpp"

namespace chainrule::kernels {
namespace {

using namespace testing;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// One element at a time, in double.
std::vector<double> naive_reduce(Reduction kind, const Array& in, std::uint32_t axes) {
  Shape kept;
  for (int d = 0; d < in.shape.size(); ++d) {
    if ((axes >> d & 1U) == 0) kept.push_back(in.shape[d]);
  }
  const auto n = static_cast<std::size_t>(element_count(kept));
  const bool one = kind == Reduction::prod || kind == Reduction::all;
  std::vector<double> result(n, one ? 1 : 0);
  std::vector<double> best(n);
  std::vector<std::int64_t> seen(n, 0);
  for (std::int64_t i = 0; i < in.size(); ++i) {
    const Dims index = coordinates(in.shape, i);
    std::size_t o = 0;
    for (int d = 0; d < index.size(); ++d) {
      if ((axes >> d & 1U) == 0)
        o = o * static_cast<std::size_t>(in.shape[d]) + static_cast<std::size_t>(index[d]);
    }
    const double x = at(in, index);
    const bool largest = kind == Reduction::max || kind == Reduction::argmax;
    const bool better =
        seen[o] == 0 || (!std::isnan(best[o]) && (std::isnan(x) || (largest ? x > best[o] : x < best[o])));
    switch (kind) {
      case Reduction::sum:
        result[o] += x;
        break;
      case Reduction::sum_squares:
        result[o] += x * x;
        break;
      case Reduction::prod:
        result[o] *= x;
        break;
      case Reduction::any:
        result[o] = result[o] != 0 || x != 0;
        break;
      case Reduction::all:
        result[o] = result[o] != 0 && x != 0;
        break;
      case Reduction::max:
      case Reduction::min:
        if (better) result[o] = x;
        break;
      case Reduction::argmax:
      case Reduction::argmin:
        if (better) result[o] = static_cast<double>(seen[o]);
        break;
    }
    if (better) best[o] = x;
    ++seen[o];
  }
  return result;
}

std::vector<double> run_reduce(Reduction kind, const Array& in, std::uint32_t axes) {
  std::int64_t n = 1;
  for (int d = 0; d < in.shape.size(); ++d) n *= (axes >> d & 1U) == 0 ? in.shape[d] : 1;
  OwnedView out = dense(reduction_dtype(kind, in.dtype), {n});
  reduce(kind, in, axes, out.view.data);
  return values_of(out.view);
}

bool needs_elements(Reduction kind) {
  return kind == Reduction::max || kind == Reduction::min || kind == Reduction::argmax ||
         kind == Reduction::argmin;
}

void expect_equal(const std::vector<double>& got, const std::vector<double>& want, double tolerance,
                  const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(want[i])) {
      ASSERT_TRUE(std::isnan(got[i])) << what;
    } else {
      ASSERT_NEAR(got[i], want[i], tolerance * std::max(1.0, std::abs(want[i]))) << what << " at " << i;
    }
  }
}

/// Every instruction set's loops.
class ReduceOn : public checks::OnTarget {};
INSTANTIATE_TEST_SUITE_P(, ReduceOn, checks::every_target(), checks::target_name);

TEST_P(ReduceOn, EveryKindDtypeAndSetOfAxes) {
  std::mt19937 random(11);
  for (int k = 0; k < reduction_count; ++k) {
    const auto kind = static_cast<Reduction>(k);
    for (const DType dtype : all_dtypes) {
      for (int round = 0; round < 60; ++round) {
        const Shape shape = random_shape(random);
        if (needs_elements(kind) && element_count(shape) == 0) continue;
        const OwnedView in = random_view(dtype, shape, random, true);
        const auto axes = static_cast<std::uint32_t>(random()) & ((1U << shape.size()) - 1U);
        const bool exact = dtype != DType::bfloat16 && kind != Reduction::prod;
        // Products of threes overflow an int64 after 40 factors; their order of rounding is free.
        const std::vector<double> want = naive_reduce(kind, in.view, axes);
        if (kind == Reduction::prod &&
            std::any_of(want.begin(), want.end(), [](double x) { return std::abs(x) > 9e15; })) {
          continue;
        }
        expect_equal(run_reduce(kind, in.view, axes), want, exact ? 1e-7 : 5e-3,
                     "kind " + std::to_string(k) + " " + std::string(dtype_name(dtype)) + " " +
                         to_string(shape) + " axes " + std::to_string(axes));
      }
    }
  }
}

TEST(Reduce, LargeEnoughForEveryDriver) {
  std::mt19937 random(12);
  const std::tuple<Shape, std::uint32_t> cases[] = {
      {{300000}, 1U},   {{3, 100000}, 2U},  {{100000, 3}, 1U},  {{20000, 10}, 1U}, {{500, 700}, 1U},
      {{500, 700}, 2U}, {{40, 50, 60}, 2U}, {{40, 50, 60}, 5U}, {{9000, 20}, 2U},  {{4, 30, 1000}, 3U},
      {{61, 120}, 1U},  {{61, 123}, 1U},    {{61, 129}, 1U},    {{19, 900}, 1U},   {{137, 1100}, 1U},
  };
  for (const auto& [shape, axes] : cases) {
    for (const DType dtype : {DType::float32, DType::int32, DType::uint8}) {
      OwnedView in = dense(dtype, shape);
      for (std::int64_t i = 0; i < in.view.size(); ++i) write_element(in.view, i, small_value(dtype, random));
      Array flipped = in.view;  // the same elements in the opposite order, read backwards
      flipped.data = static_cast<std::byte*>(in.view.data) +
                     (in.view.size() - 1) * static_cast<std::int64_t>(dtype_size(dtype));
      for (std::int64_t& stride : flipped.strides) stride = -stride;
      for (const Reduction kind :
           {Reduction::sum, Reduction::max, Reduction::argmax, Reduction::sum_squares}) {
        for (const Array& view : {in.view, flipped}) {
          expect_equal(run_reduce(kind, view, axes), naive_reduce(kind, view, axes), 1e-7, to_string(shape));
        }
      }
    }
  }
}

// So large that rows are taken in their longest pieces.
TEST(Reduce, ColumnsOfAMatrixInMemory) {
  constexpr std::int64_t rows = 1030, columns = 4111;
  static_assert(rows * columns * 4 > 16 << 20);
  std::vector<float> values(rows * columns);
  std::vector<double> sums(columns, 0), largest(columns, 0);
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      const auto value = static_cast<float>((i * 31 + j * 7) % 1009);
      values[static_cast<std::size_t>(i * columns + j)] = value;
      const auto column = static_cast<std::size_t>(j);
      sums[column] += value;
      const auto best = static_cast<std::size_t>(largest[column]) * columns + column;
      if (value > values[best]) largest[column] = static_cast<double>(i);
    }
  }
  const Array in{values.data(), DType::float32, {rows, columns}, {columns, 1}};
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    EXPECT_EQ(run_reduce(Reduction::sum, in, 1U), sums);
    EXPECT_EQ(run_reduce(Reduction::argmax, in, 1U), largest);
  }
  set_thread_count(0);
}

// Enough columns for blocks of every width, few and many, on any number of threads.
TEST_P(ReduceOn, WideMatrices) {
  std::mt19937 random(19);
  const Shape shapes[] = {{3, 70000}, {150, 3000}, {40, 3839}, {5, 3, 9000}};
  for (const Shape& shape : shapes) {
    const std::uint32_t axes = shape.size() == 3 ? 2U : 1U;
    for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16, DType::int32}) {
      OwnedView in = dense(dtype, shape);
      for (std::int64_t i = 0; i < in.view.size(); ++i) write_element(in.view, i, small_value(dtype, random));
      for (const Reduction kind : {Reduction::sum, Reduction::max, Reduction::argmin}) {
        const std::vector<double> want = naive_reduce(kind, in.view, axes);
        for (const int threads : {1, 2, 7, 64}) {
          set_thread_count(threads);
          expect_equal(
              run_reduce(kind, in.view, axes), want, dtype == DType::bfloat16 ? 5e-3 : 1e-7,
              to_string(shape) + " " + std::string(dtype_name(dtype)) + " on " + std::to_string(threads));
        }
      }
    }
  }
  set_thread_count(0);
}

// A matrix for each line of results: lines shorter and longer than vectors, more and fewer than share a
// block.
TEST_P(ReduceOn, ShortLinesOfResults) {
  std::mt19937 random(16);
  for (const std::int64_t width : {3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65}) {
    for (const std::int64_t lines : {2, 31, 150}) {
      for (const DType dtype : {DType::float32, DType::float64, DType::int32}) {
        OwnedView in = dense(dtype, {lines, 9, width + 2});
        for (std::int64_t i = 0; i < in.view.size(); ++i)
          write_element(in.view, i, small_value(dtype, random));
        Array part = in.view;  // with gaps between the rows
        part.shape[2] = width;
        for (const Reduction kind : {Reduction::sum, Reduction::min, Reduction::argmax}) {
          expect_equal(run_reduce(kind, part, 2U), naive_reduce(kind, part, 2U), 1e-7,
                       to_string(part.shape) + " " + std::string(dtype_name(dtype)));
        }
      }
    }
  }
}

// Rows shorter and longer than the vectors that are summed at once, of every kind, side by side and with
// gaps.
TEST_P(ReduceOn, ShortRows) {
  std::mt19937 random(20);
  for (const std::int64_t n : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 63, 64, 65}) {
    for (const DType dtype : all_dtypes) {
      OwnedView in = dense(dtype, {71, n + 2});
      for (std::int64_t i = 0; i < in.view.size(); ++i) write_element(in.view, i, small_value(dtype, random));
      for (const std::int64_t gap : {0, 2}) {
        Array part = in.view;
        part.shape[1] = n;
        part.strides[0] = n + gap;
        for (int k = 0; k < reduction_count; ++k) {
          const auto kind = static_cast<Reduction>(k);
          if (kind == Reduction::prod && n > 9) continue;  // past what a float64 holds exactly
          expect_equal(run_reduce(kind, part, 2U), naive_reduce(kind, part, 2U),
                       dtype == DType::bfloat16 ? 5e-3 : 1e-7,
                       "kind " + std::to_string(k) + " " + std::string(dtype_name(dtype)) + " " +
                           to_string(part.shape));
        }
      }
    }
  }
}

// A NaN in each place of a short row, in the last vector's part as well; nothing is read behind the last row.
template <typename T>
void check_rows_at_the_end_of_memory(DType dtype) {
  for (const std::int64_t n : {1, 3, 8, 10, 16, 17, 31, 33, 61}) {
    for (std::int64_t where = 0; where < n; ++where) {
      std::vector<T> values(static_cast<std::size_t>(3 * n), T(2));
      values[static_cast<std::size_t>(2 * n + where)] = T(static_cast<float>(nan));
      checks::PageEnd<T> end(values);
      const Array in{end.data(), dtype, {3, n}, {n, 1}};
      const auto sums = run_reduce(Reduction::sum, in, 2U);
      EXPECT_EQ(sums[1], static_cast<double>(2 * n));
      EXPECT_TRUE(std::isnan(sums[2]));
      EXPECT_EQ(run_reduce(Reduction::max, in, 2U)[1], 2);
      EXPECT_TRUE(std::isnan(run_reduce(Reduction::max, in, 2U)[2]));
      EXPECT_TRUE(std::isnan(run_reduce(Reduction::min, in, 2U)[2]));
      EXPECT_EQ(run_reduce(Reduction::argmax, in, 2U)[2], static_cast<double>(where));
    }
  }
}
TEST_P(ReduceOn, ShortRowsAtTheEndOfMemory) {
  check_rows_at_the_end_of_memory<float>(DType::float32);
  check_rows_at_the_end_of_memory<double>(DType::float64);
  check_rows_at_the_end_of_memory<bfloat16>(DType::bfloat16);
}

TEST(Reduce, FewShortLinesOfManyElements) {
  std::mt19937 random(18);
  OwnedView in = dense(DType::float32, {3, 30000, 16});
  for (std::int64_t i = 0; i < in.view.size(); ++i)
    write_element(in.view, i, small_value(DType::float32, random));
  expect_equal(run_reduce(Reduction::sum, in.view, 2U), naive_reduce(Reduction::sum, in.view, 2U), 1e-6,
               "sum");
}

TEST_P(ReduceOn, OfNothing) {
  const Array empty{nullptr, DType::float32, {3, 0}, {0, 1}};
  EXPECT_EQ(run_reduce(Reduction::sum, empty, 2U), std::vector<double>(3, 0));
  EXPECT_EQ(run_reduce(Reduction::prod, empty, 2U), std::vector<double>(3, 1));
  EXPECT_EQ(run_reduce(Reduction::any, empty, 2U), std::vector<double>(3, 0));
  EXPECT_EQ(run_reduce(Reduction::all, empty, 2U), std::vector<double>(3, 1));
  EXPECT_TRUE(run_reduce(Reduction::sum, empty, 1U).empty());
}

// numpy.max, numpy.argmax: a NaN wins, the first one gives the position.
TEST_P(ReduceOn, NanWinsWhereverItStands) {
  for (const DType dtype : {DType::bfloat16, DType::float32, DType::float64}) {
    for (const std::int64_t n : {1, 5, 37, 200, 3000}) {
      for (std::int64_t where = 0; where < n; where += 1 + n / 17) {
        for (const Shape& shape : {Shape{1, n}, Shape{n, 1}, Shape{n, 40}}) {
          OwnedView in =
              dense(dtype, shape, std::vector<double>(static_cast<std::size_t>(element_count(shape)), 2));
          const std::uint32_t axes = shape[0] == 1 ? 2U : 1U;
          write_element(in.view, where * in.view.strides[shape[0] == 1 ? 1 : 0], nan);
          for (const Reduction kind : {Reduction::max, Reduction::min}) {
            EXPECT_TRUE(std::isnan(run_reduce(kind, in.view, axes)[0]));
          }
          EXPECT_EQ(run_reduce(Reduction::argmax, in.view, axes)[0], static_cast<double>(where));
          EXPECT_EQ(run_reduce(Reduction::argmin, in.view, axes)[0], static_cast<double>(where));
        }
      }
    }
  }
}

TEST_P(ReduceOn, InfinitiesAndIntegerLimits) {
  const double inf = std::numeric_limits<double>::infinity();
  const OwnedView low = dense(DType::float32, {40}, std::vector<double>(40, -inf));
  EXPECT_EQ(run_reduce(Reduction::max, low.view, 1U)[0], -inf);
  EXPECT_EQ(run_reduce(Reduction::argmax, low.view, 1U)[0], 0);
  std::int64_t values[2] = {std::numeric_limits<std::int64_t>::max(), 1};
  std::int64_t sum = 0;
  reduce(Reduction::sum, Array{values, DType::int64, {2}, {1}}, 1U, &sum);
  EXPECT_EQ(sum, std::numeric_limits<std::int64_t>::min());  // two's complement, as NumPy
}

// A mean over 1e8 values keeps six digits: the exact sum of n copies of a float is n times it.
TEST(Reduce, MeanOfHundredMillionKeepsSixDigits) {
  const std::int64_t n = 100'000'000;
  float value = 0.1f;
  float sum = 0;
  reduce(Reduction::sum, Array{&value, DType::float32, {n}, {0}}, 1U, &sum);
  EXPECT_NEAR(sum / static_cast<double>(n) / static_cast<double>(value), 1, 1e-7);

  std::vector<float> values(1'000'000);
  std::mt19937 random(13);
  double exact = 0;
  for (float& x : values)
    exact += static_cast<double>(x = 1000 + static_cast<float>(random() % 1000) * 0.001f);
  reduce(Reduction::sum, Array{values.data(), DType::float32, {1000, 1000}, {1000, 1}}, 3U, &sum);
  EXPECT_NEAR(sum / exact, 1, 1e-7);
}

TEST(Reduce, ThreadsChangeNoBit) {
  std::mt19937 random(15);
  std::normal_distribution<float> normal;
  std::vector<float> values(360'000);
  for (float& x : values) x = normal(random);
  const std::tuple<Shape, std::uint32_t> cases[] = {
      {{360000}, 1U},      {{3, 120000}, 2U},   {{36000, 10}, 1U},    {{600, 600}, 1U},  {{600, 600}, 2U},
      {{40, 90, 100}, 2U}, {{40, 90, 100}, 5U}, {{1500, 24, 10}, 2U}, {{240, 1500}, 1U}, {{90, 4000}, 1U}};
  for (const auto& [shape, axes] : cases) {
    const Array in{values.data(), DType::float32, shape, contiguous_strides(shape)};
    for (const Reduction kind :
         {Reduction::sum, Reduction::sum_squares, Reduction::prod, Reduction::argmin}) {
      set_thread_count(1);
      const std::vector<double> alone = run_reduce(kind, in, axes);
      for (const int threads : {2, 3, 8}) {
        set_thread_count(threads);
        ASSERT_EQ(run_reduce(kind, in, axes), alone) << to_string(shape) << " on " << threads;
      }
    }
  }
  set_thread_count(0);
}

TEST(Scan, EveryDtypeAxisAndDirection) {
  std::mt19937 random(14);
  for (const DType dtype : all_dtypes) {
    for (int round = 0; round < 100; ++round) {
      Shape shape = random_shape(random, 3);
      if (shape.empty()) continue;
      const OwnedView in = random_view(dtype, shape, random, true);
      const OwnedView out = random_view(scan_dtype(dtype), shape, random, false);
      const int axis = static_cast<int>(random() % static_cast<unsigned>(shape.size()));
      const bool reverse = random() % 2 == 0;
      const Scan kind = random() % 2 == 0 ? Scan::sum : Scan::prod;
      scan(kind, in.view, axis, reverse, out.view);
      for (std::int64_t i = 0; i < in.view.size(); ++i) {
        Dims index = coordinates(shape, i);
        const std::int64_t last = index[axis];
        double want = kind == Scan::sum ? 0 : 1;
        for (std::int64_t s = reverse ? last : 0; s < (reverse ? shape[axis] : last + 1); ++s) {
          index[axis] = s;
          want = kind == Scan::sum ? want + at(in.view, index) : want * at(in.view, index);
        }
        const double tolerance = dtype == DType::bfloat16 ? 4e-3 * std::abs(want) : 0;
        ASSERT_NEAR(at_flat(out.view, i), want, tolerance);
      }
    }
  }
}

}  // namespace
}  // namespace chainrule::kernels
