#pragma once

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chainrule/tensor.hpp>

/// Values that another library computed: JSON files under tests/reference, of arrays
/// {"dtype": "float64", "shape": [2, 3], "values": [..]}.
namespace chainrule::test {

inline nlohmann::json read_reference(const std::string& name) {
  std::ifstream file(std::string(CHAINRULE_SOURCE_DIR) + "/tests/reference/" + name);
  EXPECT_TRUE(file.good()) << name;
  return nlohmann::json::parse(file);
}

inline Tensor tensor_of(const nlohmann::json& array) {
  Shape shape;
  for (const auto& length : array["shape"]) shape.push_back(length.get<std::int64_t>());
  if (array["dtype"] == "int64") return Tensor::from(array["values"].get<std::vector<std::int64_t>>(), shape);
  return Tensor::from(array["values"].get<std::vector<double>>(), shape);
}

/// The largest difference over the largest entry (or over 1e-300, where all are zero).
inline double relative_error(const Tensor& got, const Tensor& wanted) {
  EXPECT_EQ(got.shape(), wanted.shape());
  if (got.shape() != wanted.shape()) return INFINITY;
  const std::vector<double> a = got.to_vector<double>();
  const std::vector<double> b = wanted.to_vector<double>();
  double worst = 0;
  double scale = 1e-300;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::isnan(a[i] - b[i]) ? INFINITY : std::fabs(a[i] - b[i]));
    scale = std::max(scale, std::fabs(b[i]));
  }
  return worst / scale;
}

inline void expect_close(const Tensor& got, const nlohmann::json& wanted, double tolerance,
                         const std::string& what) {
  EXPECT_LE(relative_error(got, tensor_of(wanted)), tolerance) << what;
}

}  // namespace chainrule::test
