// A function, its derivative, and the derivative of that.
#include <chainrule/chainrule.hpp>
namespace cr = chainrule;

#include <cmath>
#include <cstdio>

int main() {
  auto f = [](const cr::Tensor& x) { return cr::sum(cr::sin(x) * cr::exp(x)); };
  auto df = cr::grad(f);  // a function again
  auto d2 = cr::grad([&](const cr::Tensor& x) { return cr::sum(df(x)); });
  double v = d2(cr::Tensor(0.5)).item<double>();  // 2 cos(x) e^x = 2.8938

  const double expected = 2 * std::cos(0.5) * std::exp(0.5);
  std::printf("f''(0.5) = %.4f, 2 cos(0.5) exp(0.5) = %.4f\n", v, expected);
  return std::abs(v - expected) < 1e-5 ? 0 : 1;
}
