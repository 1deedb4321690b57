// A step that is not finite: which op is named, and which is not.

#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/transforms.hpp>

#include "ops/declarations.hpp"

namespace cr = chainrule;

namespace {

// The parts of the error that a step with this loss ends with; empty where it commits.
template <typename Loss>
cr::ErrorParts failure_of(const Loss& loss_of, cr::Tensor weights, const cr::Tensor& x) {
  const std::vector<float> before = weights.to_vector<float>();
  auto step = cr::compile(
      [&](const cr::Tensor& input) {
        auto [loss, gradient] = cr::value_and_grad(loss_of)(weights, input);
        weights = weights - gradient * 0.125;
        return loss;
      },
      weights);
  try {
    step(x);
  } catch (const cr::NumericError& error) {
    EXPECT_EQ(weights.to_vector<float>(), before);
    return error.parts();
  }
  EXPECT_NE(weights.to_vector<float>(), before);
  return {};
}

// log(x) where x is positive, 0 elsewhere: log(0) = −∞ is computed and not used.
cr::Tensor masked_log(const cr::Tensor& x) {
  const cr::Region region("Mask");
  return cr::where(x > 0.0, cr::log(x), 0.0);
}
// 0 where x is positive, −∞ elsewhere: added to scores before a softmax.
cr::Tensor mask_of(const cr::Tensor& x) {
  const cr::Region region("Mask");
  return cr::log(cr::where(x > 0.0, 1.0, 0.0 * x));
}

const cr::Tensor& with_zeros() {
  static const cr::Tensor x = cr::tensor({0, 1, 2, 0}).eval();
  return x;
}

TEST(CheckedRun, AMaskIsNoAlarm) {
  const auto loss_of = [](const cr::Tensor& w, const cr::Tensor& x) {
    return cr::sum(masked_log(x) * w) + cr::sum(cr::square(cr::softmax(w + mask_of(x), 0)));
  };
  EXPECT_EQ(failure_of(loss_of, cr::tensor({1, 2, 3, 4}).eval(), with_zeros()).problem, "");
}

TEST(CheckedRun, AMaskIsNotBlamedForANaNFromElsewhere) {
  const auto beside = [](const cr::Tensor& w, const cr::Tensor& x) {
    const cr::Tensor first = cr::sum(masked_log(x) * w);
    const cr::Region region("Root");
    return first + cr::sum(cr::sqrt(w - 2.5));
  };
  const auto through = [](const cr::Tensor& w, const cr::Tensor& x) {
    const cr::Tensor mask = mask_of(x);
    cr::Tensor scores;
    {
      const cr::Region region("Root");
      scores = cr::sqrt(w - 2.5);
    }
    return cr::sum(cr::square(cr::softmax(scores + mask, 0)));
  };
  for (const cr::ErrorParts& parts : {failure_of(beside, cr::tensor({1, 2, 3, 4}).eval(), with_zeros()),
                                      failure_of(through, cr::tensor({1, 2, 3, 4}).eval(), with_zeros())}) {
    EXPECT_EQ(parts.region, "Root") << parts.got;
    EXPECT_NE(parts.got.find("sqrt(-1.5) = "), std::string::npos) << parts.got;
    EXPECT_NE(parts.got.find("element 0 of [4]"), std::string::npos) << parts.got;
  }
}

TEST(CheckedRun, AnInfinityThatIsUsedIsNamed) {
  const auto loss_of = [](const cr::Tensor& w, const cr::Tensor& x) {
    const cr::Region region("Log");
    return cr::sum(cr::log(x) * w);
  };
  const cr::ErrorParts parts = failure_of(loss_of, cr::tensor({1, 2, 3, 4}).eval(), with_zeros());
  EXPECT_EQ(parts.region, "Log");
  EXPECT_NE(parts.got.find("log(0) = -inf"), std::string::npos) << parts.got;
}

TEST(CheckedRun, AFullyMaskedRowIsTheSoftmaxsFault) {
  const auto loss_of = [](const cr::Tensor& w, const cr::Tensor& x) {
    const cr::Tensor scores = cr::where(x > 5.0, w, -INFINITY);
    const cr::Region region("Softmax");
    return cr::sum(cr::square(cr::softmax(scores, 0)));
  };
  const cr::ErrorParts parts = failure_of(loss_of, cr::tensor({1, 2, 3, 4}).eval(), with_zeros());
  EXPECT_EQ(parts.region, "Softmax") << parts.got;
}

// Only the third result of the update overflows: the parameter and the mean stay finite.
TEST(CheckedRun, EveryOutputIsLookedAt) {
  const auto loss_of = [](const cr::Tensor& w, const cr::Tensor& x) {
    const cr::Region region("Update");
    const cr::Tensor one = cr::full({}, 1.0, cr::DType::float64);
    const cr::Tensor zero = cr::zeros_like(w);
    return cr::sum(cr::make_outputs(cr::ops::adam_update,
                                    std::vector<cr::Tensor>{w, cr::stop_gradient(x), zero, zero, one, one},
                                    {0.9, 0.999, 1e-8, 0.0, 0.0})[2] *
                   w);
  };
  const cr::ErrorParts parts =
      failure_of(loss_of, cr::tensor({1, 2, 3, 4}).eval(), cr::full({4}, 1e30).eval());
  EXPECT_EQ(parts.region, "Update");
  EXPECT_NE(parts.got.find("adam_update("), std::string::npos) << parts.got;
  EXPECT_NE(parts.got.find("output 2"), std::string::npos) << parts.got;
}

TEST(CheckedRun, AnOpThatNamesAnInputTwiceIsDescribed) {
  const auto loss_of = [](const cr::Tensor& w, const cr::Tensor&) { return cr::sum(w * w); };
  const cr::ErrorParts parts = failure_of(loss_of, cr::full({4}, 1e30).eval(), with_zeros());
  EXPECT_NE(parts.got.find("mul(1e+30, 1e+30) = inf"), std::string::npos) << parts.got;
  EXPECT_NE(parts.got.find("float32 overflows"), std::string::npos) << parts.got;
}

TEST(CheckedRun, DataThatIsNotFiniteIsBlamed) {
  const auto loss_of = [](const cr::Tensor& w, const cr::Tensor& x) { return cr::sum(w * x); };
  const cr::ErrorParts parts =
      failure_of(loss_of, cr::tensor({1, 2, 3, 4}).eval(), cr::full({4}, NAN).eval());
  EXPECT_NE(parts.got.find("inputs or parameters"), std::string::npos) << parts.got;
}

}  // namespace
