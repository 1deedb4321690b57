#include <chainrule/benchmark.hpp>

#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>

#include "graph/op.hpp"

namespace cr = chainrule;

namespace {

const cr::MachineLimits limits{
    .threads = 1, .float32_flops = 1e9, .levels = {{"L1", 1 << 15, 1e9, 1e9}, {"memory", 0, 1e8, 1e8}}};

TEST(Benchmark, AFloorIsTheSlowerOfComputingAndMoving) {
  const auto rows =
      cr::benchmark_ops(limits, {.names = {"add", "matmul"}, .sizes = {1024, 65536}, .seconds = 0});
  ASSERT_EQ(rows.size(), 4U);
  EXPECT_EQ(rows[0].bytes, 3 * 4 * 1024);
  EXPECT_EQ(rows[0].bound, "L1");
  EXPECT_DOUBLE_EQ(rows[0].floor, 3 * 4 * 1024 / 1e9);
  EXPECT_EQ(rows[1].bound, "memory");
  EXPECT_DOUBLE_EQ(rows[1].floor, 3 * 4 * 65536 / 1e8);
  EXPECT_EQ(rows[3].flops, 2 * std::pow(256.0, 3));
  EXPECT_EQ(rows[3].bound, "multiply-adds");
  EXPECT_DOUBLE_EQ(rows[3].floor, 2 * std::pow(256.0, 3) / 1e9);
}

// Every op with something to time has inputs that it takes, and does not stop at NaN: a workload is no stub.
TEST(Benchmark, EveryWorkloadRuns) {
  const auto rows = cr::benchmark_ops(limits, {.sizes = {512}, .seconds = 0});
  EXPECT_GT(rows.size(), 80U);
  for (const cr::BenchmarkRow& row : rows) {
    EXPECT_GT(row.seconds, 0) << row.name;
    EXPECT_GT(row.bytes, 511) << row.name;
  }
}

TEST(Benchmark, StepsAreCountedFromTheirGraph) {
  const auto rows = cr::benchmark_steps(limits, 0);
  ASSERT_EQ(rows.size(), 4U);
  // Products alone: two operations per multiply-add; forward, weights and (but for the first layer) inputs.
  const double products = 2.0 * 128 * (2 * 784 * 256 + 3 * 256 * 128 + 3 * 128 * 10);
  EXPECT_GT(rows[3].flops, products);
  EXPECT_LT(rows[3].flops, 1.1 * products);
  // Adam reads and writes a parameter and two means.
  const double parameters = 784.0 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10;
  EXPECT_GT(rows[3].bytes, 4 * 6 * parameters);
  EXPECT_LT(rows[3].bytes, 4 * 6 * parameters * 1.1);
}

// SGD keeps its learning rate in float64, which is no reason to hold float32 products against another peak.
TEST(Benchmark, AStepsFloorIsThatOfItsProductsDtype) {
  cr::MachineLimits two_peaks = limits;
  two_peaks.float64_flops = limits.float32_flops / 2;
  const auto rows = cr::benchmark_steps(two_peaks, 0);
  ASSERT_EQ(rows[0].bound, "multiply-adds");
  EXPECT_DOUBLE_EQ(rows[0].floor, rows[0].flops / limits.float32_flops);
}

TEST(Benchmark, RefusesWhatItCannotTime) {
  EXPECT_THROW(cr::benchmark_ops(limits, {.names = {"no_such_op"}}), cr::ArgumentError);
  EXPECT_THROW(cr::benchmark_ops(limits, {.names = {"reshape"}}), cr::ArgumentError);
  EXPECT_THROW(cr::benchmark_ops(limits, {.names = {"add"}, .sizes = {0}}), cr::ArgumentError);
}

}  // namespace
