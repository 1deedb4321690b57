// Exchanging memory with others, and evaluating from several threads.

#include <thread>

#include <gtest/gtest.h>

#include <chainrule/dlpack.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

namespace cr = chainrule;

namespace {

// dlpack.h's structures, as an exchange partner sees them.
struct Managed {
  void* data;
  std::int32_t device_type, device_id, rank;
  std::uint8_t code, bits;
  std::uint16_t lanes;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
  void* context;
  void (*deleter)(Managed*);
};

TEST(DLPack, OutAndBackSharesMemory) {
  const cr::Tensor x = cr::transpose(cr::arange(0, 6).reshape({2, 3})).eval();
  auto* managed = static_cast<Managed*>(cr::to_dlpack(x));
  EXPECT_EQ(managed->rank, 2);
  EXPECT_EQ(managed->code, 2);
  EXPECT_EQ(managed->bits, 32);
  EXPECT_EQ(managed->shape[0], 3);
  EXPECT_EQ(managed->strides[0], 1);
  EXPECT_EQ(managed->strides[1], 3);
  const cr::Tensor y = cr::from_dlpack(managed);
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{0, 3, 1, 4, 2, 5}));
}

TEST(DLPack, ForeignMemoryIsReleasedOnce) {
  static int released = 0;
  float data[4] = {1, 2, 3, 4};
  std::int64_t shape[1] = {4};
  std::int64_t strides[1] = {-1};
  Managed managed{data + 3, 1, 0, 1, 2, 32, 1, shape, strides, 0, nullptr, [](Managed*) { ++released; }};
  {
    const cr::Tensor x = cr::from_dlpack(&managed);
    EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{4, 3, 2, 1}));
    EXPECT_EQ(cr::sum(x).item<int>(), 10);
  }
  EXPECT_EQ(released, 1);
  managed.device_type = 2;
  EXPECT_THROW(cr::from_dlpack(&managed), cr::ArgumentError);
  managed.device_type = 1;
  managed.bits = 16;
  EXPECT_THROW(cr::from_dlpack(&managed), cr::DTypeError);
  EXPECT_EQ(released, 1);
}

TEST(Threads, EvaluateTheSameExpressionTogether) {
  const auto f = [](const cr::Tensor& x) { return cr::sum(cr::exp(x) * cr::sigmoid(x)); };
  const cr::Tensor x = cr::linspace(-1, 1, 4000).eval();
  const float expected = cr::sum(cr::grad(f)(x)).item<float>();
  for (int round = 0; round < 20; ++round) {
    const cr::Tensor shared = cr::sum(cr::grad(f)(x));
    std::vector<std::thread> threads;
    std::vector<float> results(4);
    for (std::size_t t = 0; t < results.size(); ++t) {
      threads.emplace_back(
          [&, t] { results[t] = t % 2 == 0 ? shared.item<float>() : cr::sum(cr::grad(f)(x)).item<float>(); });
    }
    for (std::thread& thread : threads) thread.join();
    for (const float result : results) EXPECT_EQ(result, expected);
  }
}

}  // namespace
