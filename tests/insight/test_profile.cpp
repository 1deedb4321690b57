#include <chainrule/profile.hpp>

#include <algorithm>
#include <filesystem>
#include <map>
#include <sstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chainrule/compile.hpp>
#include <chainrule/error.hpp>
#include <chainrule/io.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/random.hpp>
#include <chainrule/transforms.hpp>

#include "kernels/cpu/gemm.hpp"
#include "kernels/parallel.hpp"

namespace cr = chainrule;

namespace {

const cr::MachineLimits limits{.threads = 1,
                               .float32_flops = 1e11,
                               .float64_flops = 5e10,
                               .float32_divisions = 1e10,
                               .float32_roots = 1e10,
                               .levels = {{"L1", 1 << 15, 1e11, 1e11}, {"memory", 0, 1e10, 1e10}}};
const cr::ProfileOptions quick{.steps = 8, .limits = limits};

cr::Tensor normal(const cr::Shape& shape) { return cr::random::normal(cr::random::key(1), shape).eval(); }

const cr::ProfileRow& row_called(const std::vector<cr::ProfileRow>& rows, const std::string& name) {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const cr::ProfileRow& r) { return r.name == name; });
  if (found == rows.end()) throw std::runtime_error("there is no row " + name);
  return *found;
}

double sum_of(const std::vector<cr::ProfileRow>& rows, double cr::ProfileRow::*field) {
  double sum = 0;
  for (const cr::ProfileRow& row : rows) sum += row.*field;
  return sum;
}

// A small training step with two layers.
cr::Profile profiled_training() {
  cr::nn::Sequential model(cr::nn::Linear(12, 24), cr::nn::Tanh(), cr::nn::Linear(24, 3));
  cr::optim::Optimizer optimizer = cr::optim::Adam();
  optimizer.init(model);
  const cr::Tensor x = normal({16, 12});
  const cr::Tensor y = normal({16, 3});
  auto step = cr::compile(
      [&](const cr::Tensor& in, const cr::Tensor& target) {
        const auto loss = [](const cr::nn::Sequential& m, const cr::Tensor& a, const cr::Tensor& b) {
          return cr::nn::mse_loss(m(a), b);
        };
        auto [value, gradient] = cr::value_and_grad(loss)(model, in, target);
        optimizer.update(model, gradient);
        return value;
      },
      model, optimizer);
  return cr::profile([&] { step(x, y); }, quick);
}

TEST(Profile, CountsAProductFromItsShapes) {
  const cr::Tensor a = normal({32, 48});
  const cr::Tensor b = normal({48, 64});
  auto f = cr::compile([](const cr::Tensor& u, const cr::Tensor& v) { return cr::matmul(u, v); });
  const cr::Profile p = cr::profile([&] { f(a, b); }, quick);
  ASSERT_EQ(p.kernels.size(), 2U);  // and what is outside
  const cr::ProfileRow& product = p.kernels.front();
  EXPECT_EQ(product.name, "matmul");
  EXPECT_EQ(product.what, "float32 [32, 48] × [48, 64]");
  EXPECT_EQ(product.flops, 2.0 * 32 * 48 * 64);
  EXPECT_EQ(product.bytes, 4.0 * (32 * 48 + 48 * 64 + 32 * 64));
  EXPECT_EQ(product.calls, 1);
  EXPECT_EQ(p.steps, 8);
}

TEST(Profile, AFusedPassSumsItsOpsAndMovesItsEnds) {
  const cr::Tensor x = normal({1000});
  auto f = cr::compile([](const cr::Tensor& v) { return cr::abs(v * v + 1.0); });
  const cr::Profile p = cr::profile([&] { f(x); }, quick);
  const cr::ProfileRow& pass = p.kernels.front();
  EXPECT_EQ(pass.kernel, "elementwise");
  EXPECT_EQ(pass.flops, 3.0 * 1000);
  // The constant is one number, however often it is read.
  EXPECT_EQ(pass.bytes, 4.0 * (1000 + 1 + 1000));
}

TEST(Profile, ABroadcastOperandIsReadOnce) {
  const cr::Tensor x = normal({50, 20});
  const cr::Tensor row = normal({20});
  auto f = cr::compile([](const cr::Tensor& a, const cr::Tensor& b) { return a + b; });
  const cr::Profile p = cr::profile([&] { f(x, row); }, quick);
  EXPECT_EQ(p.kernels.front().bytes, 4.0 * (1000 + 20 + 1000));
}

TEST(Profile, TheFloorIsTheSlowestLimit) {
  const cr::Tensor a = normal({64, 64});
  auto product = cr::compile([](const cr::Tensor& u) { return cr::matmul(u, u); });
  cr::MachineLimits slow = limits;
  slow.float32_flops = 1e6;
  const cr::ProfileRow computing =
      cr::profile([&] { product(a); }, {.steps = 4, .limits = slow}).kernels.front();
  EXPECT_EQ(computing.bound, "multiply-adds");
  EXPECT_DOUBLE_EQ(computing.floor, 2.0 * 64 * 64 * 64 / 1e6);
  slow.float32_flops = 1e15;
  slow.levels = {{"memory", 0, 1e6, 1e6}};
  const cr::ProfileRow moving =
      cr::profile([&] { product(a); }, {.steps = 4, .limits = slow}).kernels.front();
  EXPECT_EQ(moving.bound, "memory");
  EXPECT_DOUBLE_EQ(moving.floor, 4.0 * 2 * 64 * 64 / 1e6);  // both operands are one array
  slow.levels = {{"memory", 0, 1e18, 1e18}};
  EXPECT_EQ(cr::profile([&] { product(a); }, {.steps = 4, .limits = slow}).kernels.front().bound, "overhead");
}

TEST(Profile, RowsSumToTheStep) {
  const cr::Profile p = profiled_training();
  EXPECT_GT(p.profiled_seconds, 0);
  EXPECT_GT(p.step_seconds, 0);
  for (const auto* rows : {&p.kernels, &p.layers}) {
    EXPECT_NEAR(sum_of(*rows, &cr::ProfileRow::seconds) / p.profiled_seconds, 1, 1e-9);
    EXPECT_NEAR(sum_of(*rows, &cr::ProfileRow::share), 1, 1e-12);
    EXPECT_EQ(rows->back().pass, cr::ProfilePass::outside);
    EXPECT_GT(rows->back().seconds, 0);
  }
  EXPECT_NEAR(sum_of(p.layers, &cr::ProfileRow::flops) / sum_of(p.kernels, &cr::ProfileRow::flops), 1, 1e-12);
  EXPECT_NEAR(sum_of(p.layers, &cr::ProfileRow::bytes) / sum_of(p.kernels, &cr::ProfileRow::bytes), 1, 1e-12);
}

TEST(Profile, LayersHaveAForwardAndABackwardPart) {
  const cr::Profile p = profiled_training();
  std::map<std::pair<std::string, cr::ProfilePass>, double> flops;
  for (const cr::ProfileRow& row : p.layers) flops[{row.name, row.pass}] += row.flops;
  const auto of = [&](const std::string& name, cr::ProfilePass pass) { return flops[{name, pass}]; };
  using enum cr::ProfilePass;
  // The first layer's input has no gradient: as many products backward as forward. The second's are twice as
  // many. Biases and activations are a few operations per unit.
  const double first = 2.0 * 16 * 12 * 24;
  const double second = 2.0 * 16 * 24 * 3;
  EXPECT_GE(of("Sequential[0].Linear", forward), first);
  EXPECT_LT(of("Sequential[0].Linear", forward), 1.2 * first);
  EXPECT_GE(of("Sequential[0].Linear", backward), first);
  EXPECT_LT(of("Sequential[0].Linear", backward), 1.2 * first);
  EXPECT_GE(of("Sequential[2].Linear", forward), second);
  EXPECT_GE(of("Sequential[2].Linear", backward), 2 * second);
  EXPECT_GT(of("Sequential[1].Tanh", forward), 0);
  EXPECT_GT(of("Sequential[1].Tanh", backward), 0);
  EXPECT_GT(of("optimizer.Adam", update), 0);
  EXPECT_EQ(of("optimizer.Adam", backward), 0);
}

TEST(Profile, LayersStandInTheOrderOfTheForwardPass) {
  std::vector<std::string> names;
  for (const cr::ProfileRow& row : profiled_training().layers) {
    if (names.empty() || names.back() != row.name) names.push_back(row.name);
  }
  const std::vector<std::string> expected = {"Sequential[0].Linear", "Sequential[1].Tanh",
                                             "Sequential[2].Linear", "mse_loss", "optimizer.Adam"};
  ASSERT_GE(names.size(), expected.size());
  names.resize(expected.size());
  EXPECT_EQ(names, expected);
}

TEST(Profile, ExpandedDefinitionsStayInTheirLayer) {
  // No kernel for softmax along the first axis: its definition runs.
  const cr::Tensor x = normal({8, 8});
  auto f = cr::compile([](const cr::Tensor& v) {
    const cr::Region region("Attention");
    return cr::softmax(v, 0);
  });
  const cr::Profile p = cr::profile([&] { f(x); }, quick);
  for (const cr::ProfileRow& row : p.kernels) {
    if (row.pass == cr::ProfilePass::outside) continue;
    EXPECT_EQ(row.region, "Attention") << row.name;
  }
}

TEST(Profile, ChangesAreSortedAndAtMostThree) {
  const cr::Profile p = profiled_training();
  ASSERT_FALSE(p.changes.empty());
  EXPECT_LE(p.changes.size(), 3U);
  for (std::size_t i = 0; i < p.changes.size(); ++i) {
    EXPECT_FALSE(p.changes[i].change.empty());
    EXPECT_FALSE(p.changes[i].why.empty());
    EXPECT_GT(p.changes[i].gain, 0);
    EXPECT_LE(p.changes[i].gain, 1);
    if (i > 0) {
      EXPECT_LE(p.changes[i].gain, p.changes[i - 1].gain);
    }
  }
}

TEST(Profile, AnUncompiledStepIsToldToCompile) {
  const cr::Tensor x = normal({4});
  const cr::Profile p = cr::profile(
      [&] {
        (x + 1.0).eval();
        cr::sum(x).eval();
        cr::exp(x).eval();
      },
      quick);
  const auto speaks_of_compile = [](const cr::ProfileChange& c) {
    return c.change.find("compile(") != std::string::npos;
  };
  EXPECT_TRUE(std::any_of(p.changes.begin(), p.changes.end(), speaks_of_compile)) << cr::to_text(p);
}

TEST(Profile, DoublesAreToldToBeSingle) {
  const cr::Tensor x = normal({64, 64}).astype(cr::DType::float64).eval();
  auto f = cr::compile([](const cr::Tensor& u) { return cr::matmul(u, u); });
  cr::MachineLimits slow = limits;
  slow.float32_flops = 2e6;
  slow.float64_flops = 1e6;
  const cr::Profile p = cr::profile([&] { f(x); }, {.steps = 8, .limits = slow});
  ASSERT_FALSE(p.changes.empty());
  const auto speaks_of_float32 = [](const cr::ProfileChange& c) { return c.change.starts_with("float32"); };
  const auto found = std::find_if(p.changes.begin(), p.changes.end(), speaks_of_float32);
  ASSERT_NE(found, p.changes.end());
  // The peak is twice as high: half of the product's time.
  EXPECT_NEAR(found->gain, p.kernels.front().share / 2, 1e-9);
}

// ---- what is suggested, each on a machine that makes it worth most ----

/// What the suggestion that begins so would gain.
double gain_of(const cr::Profile& p, const std::string& beginning) {
  for (const cr::ProfileChange& c : p.changes) {
    if (c.change.starts_with(beginning)) return c.gain;
  }
  ADD_FAILURE() << "nothing begins with " << beginning << "\n" << cr::to_text(p);
  return 0;
}

/// A product of float32 of which this machine would say that multiply-adds bind it.
cr::Profile profiled_product(const cr::Shape& left, const cr::Shape& right,
                             const cr::MachineLimits& machine) {
  const cr::Tensor a = normal(left);
  const cr::Tensor b = normal(right);
  auto f = cr::compile([](const cr::Tensor& u, const cr::Tensor& v) {
    const cr::Region region("Head");
    return cr::matmul(u, v);
  });
  return cr::profile([&] { f(a, b); }, {.steps = 16, .limits = machine});
}

cr::MachineLimits slow_machine() {
  cr::MachineLimits machine = limits;
  machine.float32_flops = 1e6;
  machine.levels = {{"memory", 0, 1e12, 1e12}};
  return machine;
}

TEST(Profile, ALargerBatchSharesTheUpdate) { EXPECT_GT(gain_of(profiled_training(), "A batch "), 0.05); }

TEST(Profile, FastBfloat16IsSuggestedForProducts) {
  cr::MachineLimits machine = slow_machine();
  machine.bfloat16_flops = 4 * machine.float32_flops;
  const cr::Profile p = profiled_product({128, 128}, {128, 128}, machine);
  // Three quarters of the product's time, less a call of a kernel and the conversions.
  const double gain = gain_of(p, "Products in bfloat16");
  EXPECT_LT(gain, 0.75 * p.kernels.front().share);
  EXPECT_GT(gain, 0.5 * p.kernels.front().share);
  machine.bfloat16_flops = machine.float32_flops;
  for (const cr::ProfileChange& c : profiled_product({128, 128}, {128, 128}, machine).changes)
    EXPECT_FALSE(c.change.starts_with("Products in bfloat16"));
}

TEST(Profile, MoreThreadsAreSuggestedWhereCoresAreFree) {
  const int cores = cr::usable_cores();
  if (cores == 1) GTEST_SKIP() << "one core";
  const cr::ThreadScope one(1);
  const cr::Profile p = profiled_product({128, 128}, {128, 128}, slow_machine());
  const double gain = gain_of(p, std::to_string(cores) + " threads in place of 1");
  const double most = p.kernels.front().share * (1 - 1.0 / cores);
  EXPECT_LE(gain, most);
  EXPECT_GT(gain, 0.6 * most);
}

TEST(Profile, WidthsThatFillNoVectorAreNamed) {
  const auto lanes = static_cast<int>(cr::kernels::gemm_kernels<float>().lanes);
  if (lanes == 1) GTEST_SKIP() << "vectors of one number";
  const int width = 2 * lanes + 1;
  const cr::Profile p = profiled_product({128, 128}, {128, width}, slow_machine());
  const double gain =
      gain_of(p, "A width of " + std::to_string(2 * lanes) + " or " + std::to_string(3 * lanes) +
                     " in place of " + std::to_string(width) + " at Head");
  EXPECT_LE(gain, p.kernels.front().share / 3);
  EXPECT_GT(gain, 0.6 * p.kernels.front().share / 3);
}

TEST(Profile, NeighboursThatAreNotFusedAreNamed) {
  const cr::Tensor x = normal({256, 256});
  auto f = cr::compile([](const cr::Tensor& v) {
    const cr::Tensor e = cr::exp(v);
    return cr::sum(cr::relu(e) + 1.0) + cr::sum(cr::matmul(e, v));
  });
  cr::MachineLimits machine = limits;
  machine.levels = {{"memory", 0, 1e9, 1e9}};
  const cr::Profile p = cr::profile([&] { f(x); }, {.steps = 16, .limits = machine});
  gain_of(p, "Fuse neighbours: let one expression read the value");
  EXPECT_NE(cr::to_text(p).find("exp [256, 256]"), std::string::npos) << cr::to_text(p);
}

TEST(Profile, TheTraceParsesAndItsEventsNest) {
  const cr::Profile p = profiled_training();
  const nlohmann::json trace = nlohmann::json::parse(cr::to_trace(p));
  std::vector<double> ends;  // of the events that are open
  double last = 0;
  std::size_t events = 0;
  for (const nlohmann::json& event : trace.at("traceEvents")) {
    if (event.at("ph") == "M") continue;
    ASSERT_EQ(event.at("ph"), "X");
    const double start = event.at("ts").get<double>();
    const double end = start + event.at("dur").get<double>();
    EXPECT_GE(start, last) << "events stand in their order";
    last = start;
    EXPECT_LE(start, end);
    while (!ends.empty() && ends.back() <= start + 1e-6) ends.pop_back();
    if (!ends.empty()) {
      EXPECT_LE(end, ends.back() + 1e-3) << event << " ends inside of what holds it";
    }
    ends.push_back(end);
    ++events;
  }
  EXPECT_EQ(events, p.events.size());
  EXPECT_GT(events, 10U);
}

// Every tag that is opened is closed, in the right order.
void expect_well_formed(const std::string& page) {
  std::vector<std::string> open;
  for (std::size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    const std::size_t end = page.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = page.substr(at + 1, end - at - 1);
    if (tag.starts_with("style")) {
      at = page.find("</style>", at) + 1;
      continue;
    }
    const std::string name =
        tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" />", 1) - (tag[0] == '/' ? 1 : 0));
    if (tag[0] == '!' || tag.ends_with("/") || name == "meta" || name == "wbr") continue;
    if (tag[0] != '/') {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << tag;
    EXPECT_EQ(open.back(), tag.substr(1));
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
}

TEST(Profile, ThePageIsWellFormedAndNamesEveryKernel) {
  const cr::Profile p = profiled_training();
  const std::string page = cr::to_html(p);
  expect_well_formed(page);
  for (const cr::ProfileRow& row : p.kernels) EXPECT_NE(page.find(row.name), std::string::npos) << row.name;
  EXPECT_EQ(page.find("<script"), std::string::npos);
  EXPECT_EQ(page.find("http://"), std::string::npos);
  EXPECT_NE(page.find("role=\"img\" aria-label=\"Roofline"), std::string::npos);
}

TEST(Profile, NamesOnThePageAreEscaped) {
  const cr::Tensor x = normal({4});
  auto f = cr::compile([](const cr::Tensor& v) {
    const cr::Region region("<b>&");
    return cr::exp(v);
  });
  const std::string page = cr::to_html(cr::profile([&] { f(x); }, quick));
  EXPECT_EQ(page.find("<b>&"), std::string::npos);
  EXPECT_NE(page.find("&lt;b&gt;&amp;"), std::string::npos);
}

TEST(Profile, TheTextHasAllThreeParts) {
  std::ostringstream out;
  const cr::Profile p = profiled_training();
  out << p;
  EXPECT_EQ(out.str(), cr::to_text(p));
  // The slowest kernel, whichever that is here; a region may be cut, but not a layer's.
  const std::string slowest = "\n" + p.kernels.at(0).name.substr(0, 20);
  for (const std::string& part :
       {std::string("kernel "), std::string("layer "), std::string("a step; "),
        std::string("with the profile on"), std::string("Sequential[0].Linear"), slowest})
    EXPECT_NE(out.str().find(part), std::string::npos) << part;
}

TEST(Profile, AConfigurationIsProfiledWithoutAFile) {
  cr::train::Config config = cr::train::default_config("moons");
  config.data.examples = 200;
  config.training.batch_size = 32;
  const cr::Profile p = cr::profile_training(config, quick);
  EXPECT_EQ(p.batch_size, 32);
  EXPECT_GT(row_called(p.layers, "optimizer.AdamW").seconds, 0);
  EXPECT_GT(row_called(p.layers, "cross_entropy").seconds, 0);
  EXPECT_FALSE(std::filesystem::exists("runs/" + config.name));
}

TEST(Profile, MistakesAreNamed) {
  EXPECT_THROW(cr::profile([] {}, quick), cr::StateError);
  const cr::Tensor x = normal({4});
  EXPECT_THROW(cr::profile([&] { cr::exp(x); }, quick), cr::StateError) << "nobody reads it";
  EXPECT_THROW(cr::profile([&] { cr::exp(x).eval(); }, {.seconds = -1}), cr::ArgumentError);
  EXPECT_THROW(cr::profile([&] { cr::exp(x).eval(); }, {.steps = -1}), cr::ArgumentError);
  EXPECT_THROW(cr::profile([&] { cr::exp(x).eval(); }, {.limits = cr::MachineLimits()}), cr::ArgumentError);
  EXPECT_THROW(profiled_training().write_html("/no/such/folder/page.html"), cr::IoError);
  EXPECT_THROW(profiled_training().write_trace("/no/such/folder/trace.json"), cr::IoError);
}

TEST(Profile, WhatTheStepThrowsPassesThrough) {
  const auto step = [] { throw std::runtime_error("mine"); };
  EXPECT_THROW(cr::profile(step, quick), std::runtime_error);
}

}  // namespace
