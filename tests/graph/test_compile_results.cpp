// What a compiled function may return, what its state may become, and what it says when it traces again.

#include <cstdlib>

#include <gtest/gtest.h>

#include <chainrule/compile.hpp>
#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>

namespace cr = chainrule;

namespace {

TEST(CompileResults, AnArgumentIsReturnedAsItIs) {
  auto same = cr::compile([](const cr::Tensor& x) { return x; });
  auto turned = cr::compile([](const cr::Tensor& x) { return cr::transpose(x); });
  const cr::Tensor x = cr::tensor({{1, 2, 3}, {4, 5, 6}});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(same(x).to_vector<float>(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(turned(x).to_vector<float>(), (std::vector<float>{1, 4, 2, 5, 3, 6}));
  }
}

TEST(CompileResults, TheOldValueOfAStateIsReturnedBeforeItChanges) {
  cr::Tensor state = cr::tensor({1, 2}).eval();
  auto step = cr::compile(
      [&] {
        const cr::Tensor old = state;
        state = state * 2;
        return old;
      },
      state);
  EXPECT_EQ(step().to_vector<float>(), (std::vector<float>{1, 2}));
  EXPECT_EQ(step().to_vector<float>(), (std::vector<float>{2, 4}));
  EXPECT_EQ(state.to_vector<float>(), (std::vector<float>{4, 8}));
}

// A moment that the first step creates, beside a rate that no step changes.
struct Momentum {
  cr::Tensor rate = cr::tensor({0.5}).eval();
  std::vector<cr::Tensor> moment;
  void visit(cr::Visitor& v) {
    v.buffer("rate", rate);
    v("moment", moment);
  }
};

TEST(CompileResults, StateMayAppearInTheFirstStep) {
  Momentum momentum;
  auto step = cr::compile(
      [&](const cr::Tensor& gradient) {
        if (momentum.moment.empty()) momentum.moment.push_back(cr::zeros_like(gradient));
        momentum.moment[0] = momentum.moment[0] * 0.5 + gradient;
        return momentum.moment[0] * momentum.rate;
      },
      momentum);
  const cr::Tensor gradient = cr::tensor({2, 4}).eval();
  EXPECT_EQ(step(gradient).to_vector<float>(), (std::vector<float>{1, 2}));
  EXPECT_EQ(step(gradient).to_vector<float>(), (std::vector<float>{1.5, 3}));
  EXPECT_EQ(step(gradient).to_vector<float>(), (std::vector<float>{1.75, 3.5}));
  EXPECT_EQ(momentum.rate.item<float>(), 0.5F);
}

// ---- state keeps its shape and dtype ----

struct Pair {
  cr::Tensor first = cr::ones({2}).eval();
  cr::Tensor second = cr::ones({3}).eval();
  void visit(cr::Visitor& v) {
    v("first", first);
    v.buffer("second", second);
  }
};

struct Nested {
  std::vector<Pair> pairs = std::vector<Pair>(2);
  void visit(cr::Visitor& v) { v("pairs", pairs); }
};

TEST(CompileState, AnotherShapeIsAnErrorThatNamesThePath) {
  Nested state;
  auto step = cr::compile(
      [&] {
        state.pairs[1].second = cr::concatenate({state.pairs[1].second, state.pairs[1].second}, 0);
        return cr::sum(state.pairs[1].second);
      },
      state);
  for (int i = 0; i < 2; ++i) {
    try {
      step();
      FAIL() << "a state of another shape was accepted";
    } catch (const cr::ShapeError& error) {
      EXPECT_EQ(error.parts().argument, "pairs.1.second");
      EXPECT_NE(error.parts().got.find("[6]"), std::string::npos) << error.what();
      EXPECT_NE(error.parts().wanted.find("[3]"), std::string::npos) << error.what();
    }
    EXPECT_EQ(state.pairs[1].second.to_vector<float>(), (std::vector<float>{1, 1, 1}));
  }
}

TEST(CompileState, AnotherDtypeIsAnErrorThatNamesThePath) {
  Pair state;
  auto step = cr::compile(
      [&] {
        state.first = state.first.astype(cr::DType::float64);
        return cr::sum(state.first);
      },
      state);
  try {
    step();
    FAIL() << "a state of another dtype was accepted";
  } catch (const cr::DTypeError& error) {
    EXPECT_EQ(error.parts().argument, "first");
  }
  EXPECT_EQ(state.first.dtype(), cr::DType::float32);
}

TEST(CompileState, ARecordedUpdateKeepsTheShapeToo) {
  Pair state;
  auto step = cr::compile(
      [&](const cr::Tensor& x) {
        cr::Context::record_update(state.second, x);
        return cr::sum(x);
      },
      state);
  EXPECT_EQ(step(cr::zeros({3})).item<float>(), 0);
  EXPECT_EQ(state.second.to_vector<float>(), (std::vector<float>{0, 0, 0}));
  EXPECT_THROW(step(cr::zeros({300000})), cr::ShapeError);
  EXPECT_THROW(step(cr::zeros({3}, cr::DType::float64)), cr::DTypeError);
  EXPECT_EQ(state.second.to_vector<float>(), (std::vector<float>{0, 0, 0}));
}

TEST(CompileState, ATensorNamedTwiceIsAnErrorThatNamesThePath) {
  Pair state;
  auto step = cr::compile(
      [&] {
        state.first = state.first * 2;
        return cr::sum(state.first);
      },
      state, state.second, state.first);
  EXPECT_THROW(step(), cr::StateError);
  Nested nested;
  auto nested_step = cr::compile([&] { return cr::sum(nested.pairs[0].first); }, nested, nested.pairs[1]);
  try {
    nested_step();
    FAIL() << "a tensor was visited twice";
  } catch (const cr::StateError& error) {
    EXPECT_EQ(error.parts().argument, "first");
  }
  EXPECT_EQ(state.first.to_vector<float>(), (std::vector<float>{1, 1}));  // not a placeholder
}

TEST(CompileState, TwoTensorsWithOneValueAreTwo) {
  Pair state;
  state.first = state.second;
  auto step = cr::compile(
      [&] {
        state.first = state.first + 1;
        return cr::sum(state.first + state.second);
      },
      state);
  step();
  EXPECT_EQ(step().item<float>(), 12);
  EXPECT_EQ(state.first.to_vector<float>(), (std::vector<float>{3, 3, 3}));
  EXPECT_EQ(state.second.to_vector<float>(), (std::vector<float>{1, 1, 1}));
}

// ---- results ----

// A list as long as the input has rows: each plan has its own pattern of results.
TEST(CompileResults, ATreeWhoseSizeDependsOnAShape) {
  auto rows = cr::compile([](const cr::Tensor& x) {
    std::vector<cr::Tensor> result;
    for (std::int64_t i = 0; i < x.size(0); ++i) result.push_back(cr::sum(cr::slice(x, 0, i, i + 1)));
    return result;
  });
  for (const int n : {2, 3, 2, 3, 1, 2}) {
    std::vector<float> values(static_cast<std::size_t>(2 * n));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    const std::vector<cr::Tensor> result = rows(cr::Tensor::from(values, {n, 2}));
    ASSERT_EQ(result.size(), static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i)
      EXPECT_EQ(result[static_cast<std::size_t>(i)].item<float>(), static_cast<float>(4 * i + 1));
  }
  EXPECT_EQ(rows.trace_count(), 3);
}

// Results that look at one block of memory: a caller may keep any of them, as a tensor or as an array.
TEST(CompileResults, ViewsOfOneBlockThatACallerKeepsAreNotOverwritten) {
  auto both = cr::compile([](const cr::Tensor& x) {
    const cr::Tensor y = x * 2;
    return std::vector<cr::Tensor>{y, cr::transpose(y), cr::slice(y, 0, 1, 2)};
  });
  std::vector<std::vector<float>> expected;
  std::vector<cr::Tensor> kept;
  std::vector<cr::HostArray> arrays;
  for (int i = 0; i < 12; ++i) {
    std::vector<cr::Tensor> results = both(cr::full({2, 2}, i).eval());
    expected.emplace_back(i % 3 == 2 ? 2 : 4, static_cast<float>(2 * i));
    const cr::Tensor& chosen = results[static_cast<std::size_t>(i % 3)];
    if (i % 2 == 0) {
      kept.push_back(chosen);
    } else {
      arrays.push_back(chosen.to_host());
    }
  }
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (i % 2 == 0) {
      EXPECT_EQ(kept[i / 2].to_vector<float>(), expected[i]) << i;
    } else {
      EXPECT_EQ(arrays[i / 2].data<float>()[0], expected[i][0]) << i;
    }
  }
}

// ---- what the log says; the variable is read once per process, so these run in one of their own ----

TEST(CompileLogDeathTest, RetracingNamesTheAxisThatVaries) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ::setenv("CHAINRULE_LOG", "plan", 1);  // for the new process
  const auto retrace = [] {
    auto step = cr::compile([](const std::vector<cr::Tensor>& x) { return cr::sum(x[1]) + x[0]; });
    for (int n = 1; n < 10; ++n)
      step(std::vector<cr::Tensor>{cr::zeros({}).eval(), cr::zeros({4, n}).eval()});
    std::exit(0);
  };
  EXPECT_EXIT(retrace(), testing::ExitedWithCode(0),
              "traced 9 times, now because argument 0.1: axis 1 was 8, is 9");
  ::unsetenv("CHAINRULE_LOG");
}

TEST(CompileLogDeathTest, ACapturedConstantIsLoggedWithSizeAndReader) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ::setenv("CHAINRULE_LOG", "plan", 1);  // for the new process
  const auto capture = [] {
    const cr::Tensor table = cr::ones({5, 3}).reshape({3, 5}).eval();
    auto step = cr::compile([&](const cr::Tensor& x) {
      const cr::Region region("Lookup");
      return cr::matmul(table, x);
    });
    step(cr::ones({5, 2}).eval());
    std::exit(0);
  };
  EXPECT_EXIT(capture(), testing::ExitedWithCode(0),
              "captured a constant, float32 \\[3, 5\\], 60 bytes, read by matmul at Lookup");
  ::unsetenv("CHAINRULE_LOG");
}

TEST(CompileLogDeathTest, WhatIsNotFusedIsLoggedWithTheReason) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ::setenv("CHAINRULE_LOG", "plan", 1);  // for the new process
  const auto run = [] {
    auto step = cr::compile([](const cr::Tensor& x) {
      const cr::Tensor e = cr::exp(x);
      return cr::relu(e) + cr::matmul(e, x);
    });
    step(cr::ones({4, 4}).eval());
    std::exit(0);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0),
              "exp \\[4, 4\\] into relu \\[4, 4\\]: matmul \\[4, 4\\] reads its value too");
  ::unsetenv("CHAINRULE_LOG");
}

// What CHAINRULE_LOG=dispatch says of a layer whose ops are not all at their fastest.
TEST(CompileLogDeathTest, DispatchSaysWhatWasRefusedTakenAndCopied) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ::setenv("CHAINRULE_LOG", "dispatch", 1);  // for the new process
  const auto run = [] {
    auto step = cr::compile([](const cr::Tensor& x) {
      const cr::Region region("Attention");
      return cr::softmax(x, 0) + cr::softmax(cr::transpose(x), -1);
    });
    step(cr::tensor({{1, 2, 3}, {4, 5, 6}, {7, 8, 9}}).eval());
    std::exit(0);
  };
  EXPECT_EXIT(
      run(), testing::ExitedWithCode(0),
      "softmax\\(float32\\[3, 3\\]\\) of Attention: rows refused: works along the last axis only; its "
      "definition runs instead(.|\n)*softmax\\(float32\\[3, 3\\]\\) of Attention: rows taken(.|\n)*input 0 "
      "has strides \\[1, 3\\], which rows does not take: it is copied first");
  ::unsetenv("CHAINRULE_LOG");
}

}  // namespace
