#include <cmath>

#include <gtest/gtest.h>

#include <chainrule/data.hpp>
#include <chainrule/error.hpp>

namespace cr = chainrule;
namespace data = chainrule::data;

namespace {

TEST(Toys, HaveTheirShapes) {
  for (const std::string& name : data::toy_names()) {
    const data::Dataset set = data::toy(name, {.examples = 60, .noise = 0.05, .seed = 4});
    EXPECT_EQ(set.size(), 60) << name;
    EXPECT_EQ(set.hash(), data::toy(name, {.examples = 60, .noise = 0.05, .seed = 4}).hash()) << name;
    EXPECT_NE(set.hash(), data::toy(name, {.examples = 60, .noise = 0.05, .seed = 5}).hash()) << name;
  }
  EXPECT_THROW(data::toy("moon"), cr::ArgumentError);
  EXPECT_THROW(data::moons({.examples = 0}), cr::ArgumentError);
}

TEST(Toys, FollowTheirDefinition) {
  const data::ToyOptions exact = {.examples = 100, .noise = 0, .seed = 1};
  const data::Dataset circles = data::circles(exact);
  const std::vector<float> x = circles.features.to_vector<float>();
  const std::vector<std::int64_t> y = circles.targets.to_vector<std::int64_t>();
  for (std::size_t i = 0; i < 100; ++i)
    EXPECT_NEAR(std::hypot(x[2 * i], x[2 * i + 1]), y[i] == 0 ? 1 : 0.5, 1e-6);
  const data::Dataset clouds = data::xor_clouds(exact);
  const std::vector<float> corners = clouds.features.to_vector<float>();
  const std::vector<std::int64_t> differ = clouds.targets.to_vector<std::int64_t>();
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(corners[2 * i] * corners[2 * i + 1] < 0, differ[i] == 1);
  const data::Dataset sine = data::sine_curve(exact);
  const std::vector<float> u = sine.features.to_vector<float>();
  const std::vector<float> v = sine.targets.to_vector<float>();
  for (std::size_t i = 0; i < 100; ++i) EXPECT_NEAR(v[i], std::sin(3 * u[i]) + u[i] / 2, 1e-5);
}

}  // namespace
