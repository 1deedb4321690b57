#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/error.hpp>
#include <chainrule/explain.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/transforms.hpp>

namespace cr = chainrule;

namespace {

std::string text_of(const char* name, const cr::NamedOptions& options = {}) {
  const auto e = cr::explain_named(name, options);
  return e ? cr::to_text(*e) : std::string();
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A sentence may have been broken where a terminal's line ends.
std::string on_one_line(std::string text) {
  for (std::size_t at = text.find("\n "); at != std::string::npos; at = text.find("\n ", at)) {
    const std::size_t end = text.find_first_not_of(' ', at + 1);
    text.replace(at, (end == std::string::npos ? text.size() : end) - at, " ");
  }
  return text;
}

// By hand: log(e² + e + e^0.1) - 2 = 0.417030 for t = 0 and 2.317030 for t = 2.
TEST(ExplainNamed, CrossEntropyAtAPoint) {
  const std::string text = on_one_line(text_of("cross_entropy", {.at = {2, 1, 0.1}, .target = {}}));
  for (const char* part :
       {"p - onehot(t)", "diag(p) - p pᵀ", "positive semidefinite", "0.659001  0.242433  0.098566",
        "= 0.417030", "-0.340999", "sum 1", "sum 0", "check", "ok", "t = 2 gives L = 2.317030", "-0.901434",
        "ln 3 = 1.0986", "gives inf at z = (200, 0, -200), t = 2; this form gives 400"})
    EXPECT_TRUE(has(text, part)) << part << "\n" << text;
  EXPECT_TRUE(has(text_of("cross_entropy", {.at = {2, 1, 0.1}, .target = 2}), "= 2.317030"));
  EXPECT_THROW(cr::explain_named("cross_entropy", {.at = {2, 1}, .target = 2}), cr::ArgumentError);
  EXPECT_THROW(cr::explain_named("cross_entropy", {.at = {2, 1}, .target = 0.5}), cr::ArgumentError);
  EXPECT_THROW(cr::explain_named("cross_entropy", {.at = {2}, .target = {}}), cr::ArgumentError);
}

TEST(ExplainNamed, LossesAreDifferentiated) {
  const std::string square = text_of("mse_loss", {.at = {3}, .target = 1});
  EXPECT_TRUE(has(square, "∂L/∂y   = 2 (y - t)")) << square;
  EXPECT_TRUE(has(square, "∂²L/∂y² = 2 ")) << square;
  EXPECT_TRUE(has(square, "L       = 4\n")) << square;
  EXPECT_TRUE(has(square, "∂L/∂y   = 4\n")) << square;
  for (const std::string& name : cr::described_names()) {
    const auto e = cr::explain_named(name);
    ASSERT_TRUE(e.has_value()) << name;
    if (e->kind != "loss" || name == "nll_loss") continue;
    const std::string text = cr::to_text(*e);
    EXPECT_TRUE(has(text, "derivative")) << name << "\n" << text;
    EXPECT_TRUE(has(text, "ok")) << name << "\n" << text;
    EXPECT_FALSE(has(text, "NOT OK")) << name << "\n" << text;
  }
}

// Kingma and Ba, algorithm 1, with beta1 = 0.9 and beta2 = 0.999.
TEST(ExplainNamed, OptimizersShowTheirWholeUpdate) {
  const std::string adam = text_of("Adam");
  EXPECT_TRUE(has(adam, "m' = m * 0.9 + g * 0.1") || has(adam, "m' = 0.9 m + 0.1 g")) << adam;
  EXPECT_TRUE(has(adam, "0.999") && has(adam, "0.001") && has(adam, "v'") && has(adam, "p' = ")) << adam;
  EXPECT_TRUE(has(adam, "0.9^t")) << adam;
  EXPECT_FALSE(has(adam, "adam_update")) << adam;
  EXPECT_FALSE(has(adam, "0.0999999")) << adam;
  EXPECT_TRUE(has(text_of("SGD"), "b' = ")) << text_of("SGD");
  EXPECT_TRUE(has(text_of("AdamW"), "0.01")) << text_of("AdamW");
  for (const char* name : {"Adam", "AdamW", "SGD", "RMSProp", "GradientDescent"})
    EXPECT_TRUE(has(text_of(name), "p' = ")) << name;
}

TEST(ExplainNamed, LatexIsLatexEverywhere) {
  EXPECT_TRUE(has(text_of("mse_loss", {.at = {}, .target = {}, .style = cr::TextStyle::latex}), "^{2}"));
  EXPECT_TRUE(has(text_of("Cosine", {.at = {}, .target = {}, .style = cr::TextStyle::latex}), "\\frac"));
  EXPECT_TRUE(has(text_of("Adam", {.at = {}, .target = {}, .style = cr::TextStyle::latex}), "\\sqrt"));
  EXPECT_TRUE(has(text_of("cross_entropy", {.at = {}, .target = {}, .style = cr::TextStyle::latex}), "\\ln"));
}

TEST(ExplainNamed, UnknownNamesAreNothing) { EXPECT_FALSE(cr::explain_named("sigmoid").has_value()); }

}  // namespace
