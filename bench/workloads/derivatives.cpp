// Second derivatives of a small network's loss with respect to all of its parameters, as one vector.

#include "workloads/workload.hpp"

namespace bench {
namespace {

namespace cr = chainrule;

// The loss of each example, [batch], from the parameters θ: layer by layer weight [out, in] and bias.
cr::Tensor losses_of(const cr::Tensor& theta, const std::vector<std::int64_t>& widths, const cr::Tensor& x,
                     const cr::Tensor& y) {
  cr::Tensor h = x;
  std::int64_t at = 0;
  const auto take = [&](const cr::Shape& shape) {
    const std::int64_t count = cr::element_count(shape);
    const cr::Tensor part = cr::slice(theta, 0, at, at + count);
    at += count;
    return cr::reshape(part, shape);
  };
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    const cr::Tensor weight = take({widths[i + 1], widths[i]});
    const cr::Tensor bias = take({widths[i + 1]});
    if (i > 0) h = cr::tanh(h);
    h = cr::matmul(h, cr::transpose(weight)) + bias;
  }
  return cr::mean(cr::square(h - y), {1});
}

cr::Tensor flat_parameters(const cr::NamedArrays& arrays, std::size_t layers) {
  std::vector<cr::Tensor> parts;
  for (std::size_t i = 0; i < layers; ++i) {
    for (const char* name : {"weight", "bias"})
      parts.push_back(cr::flatten(cr::Tensor(arrays.at(name + std::to_string(i)))));
  }
  return cr::concatenate(parts).eval();
}

}  // namespace

Program derivative(const Json& workload, const State& state) {
  const cr::NamedArrays arrays = cr::load_npz(state.path(workload));
  const auto widths = workload.at("widths").get<std::vector<std::int64_t>>();
  const cr::Tensor theta = flat_parameters(arrays, widths.size() - 1);
  const cr::Tensor x{arrays.at("x")};
  const cr::Tensor y{arrays.at("y")};
  const auto losses = [=](const cr::Tensor& t) { return losses_of(t, widths, x, y); };
  const auto loss = [=](const cr::Tensor& t) { return cr::mean(losses(t)); };
  const auto what = workload.at("what").get<std::string>();
  const cr::Tensor direction = input_from(state.pool, Json{{"shape", {theta.size()}}}, 0, cr::DType::float32);

  const std::function<cr::Tensor(const cr::Tensor&)> f = [=](const cr::Tensor& t) {
    if (what == "hvp") return cr::hvp(loss, t, direction);
    return what == "hessian" ? cr::hessian(loss, t) : cr::jacobian(losses, t);
  };
  const auto compiled = std::make_shared<cr::Compiled<std::function<cr::Tensor(const cr::Tensor&)>>>(f);
  return {.check = [=] { return summary_of(std::vector<cr::Tensor>{(*compiled)(theta)}); },
          .call = [=] { (*compiled)(theta).eval(); },
          .work = [=] { return work_of(std::vector<cr::Tensor>{f(theta)}); }};
}

}  // namespace bench
