// The smallest program that uses the installed library.
#include <chainrule/chainrule.hpp>

#include <cstdio>

namespace cr = chainrule;

int main() {
  const auto f = [](const cr::Tensor& x) { return cr::sum(x * cr::exp(x)); };
  const auto df = cr::grad(f);
  const auto d2 = cr::grad([&](const cr::Tensor& x) { return cr::sum(df(x)); });
  // (x + 2) exp(x) at 0.5
  std::printf("%.4f\n", d2(cr::Tensor(0.5)).item<double>());
}
