// Single ops and short chains of them, compiled, as a user's program runs them.

#include <map>

#include "graph/op.hpp"
#include "workloads/workload.hpp"

namespace bench {
namespace {

namespace cr = chainrule;
using Tensors = std::vector<cr::Tensor>;
using Function = std::function<cr::Tensor(const Tensors&)>;
using Maker = Function (*)(const Json& workload);

cr::DType dtype_named(const std::string& name) {
  if (name == "float64") return cr::DType::float64;
  return name == "bfloat16" ? cr::DType::bfloat16 : cr::DType::float32;
}

cr::Tensor polynomial(const cr::Tensor& x, const std::vector<double>& coefficients) {
  cr::Tensor y = x * coefficients.back() + coefficients[coefficients.size() - 2];
  for (std::size_t i = coefficients.size() - 2; i-- > 0;) y = y * x + coefficients[i];
  return y;
}

cr::Tensor layer_norm(const Tensors& x) {
  cr::nn::LayerNorm norm(x[1].size(0));
  norm.weight = x[1];
  norm.bias = x[2];
  return norm(x[0]);
}

cr::Tensor rms_norm(const Tensors& x) {
  cr::nn::RMSNorm norm(x[1].size(0), {.eps = 1e-5});
  norm.weight = x[1];
  return norm(x[0]);
}

const std::map<std::string, Maker>& makers() {
  static const std::map<std::string, Maker> table = {
      {"matmul",
       [](const Json& w) -> Function {
         const bool ta = w.value("transpose_a", false);
         const bool tb = w.value("transpose_b", false);
         return [=](const Tensors& x) {
           return cr::matmul(ta ? cr::transpose(x[0]) : x[0], tb ? cr::transpose(x[1]) : x[1]);
         };
       }},
      {"bias_gelu_dropout_residual",
       [](const Json& w) -> Function {
         const cr::nn::Dropout dropout(w.at("dropout").get<double>());
         return [=](const Tensors& x) { return dropout(cr::gelu(x[0] + x[1])) + x[2]; };
       }},
      {"polynomial",
       [](const Json& w) -> Function {
         const auto coefficients = w.at("coefficients").get<std::vector<double>>();
         return [=](const Tensors& x) { return polynomial(x[0], coefficients); };
       }},
      {"softmax", [](const Json&) -> Function { return [](const Tensors& x) { return cr::softmax(x[0]); }; }},
      {"cross_entropy",
       [](const Json&) -> Function {
         return [](const Tensors& x) { return cr::nn::cross_entropy(x[0], x[1]); };
       }},
      {"layer_norm", [](const Json&) -> Function { return layer_norm; }},
      {"rms_norm", [](const Json&) -> Function { return rms_norm; }},
      {"sum",
       [](const Json& w) -> Function {
         const cr::Dims axes = w.contains("axis") ? cr::Dims{w["axis"].get<std::int64_t>()} : cr::Dims{};
         return [=](const Tensors& x) { return cr::sum(x[0], axes); };
       }},
      // A transpose alone is a view; as one row of numbers it has to be moved.
      {"transpose",
       [](const Json&) -> Function {
         return [](const Tensors& x) { return cr::reshape(cr::transpose(x[0]), {-1}); };
       }},
      {"gather",
       [](const Json&) -> Function { return [](const Tensors& x) { return cr::gather(x[0], x[1], 1); }; }},
      {"scatter_add",
       [](const Json&) -> Function {
         return [](const Tensors& x) { return cr::scatter_add(x[0], x[1], x[2], 1); };
       }},
      {"embedding",
       [](const Json&) -> Function { return [](const Tensors& x) { return cr::take(x[0], x[1], 0); }; }},
      {"sort", [](const Json&) -> Function { return [](const Tensors& x) { return cr::sort(x[0]); }; }},
      {"topk",
       [](const Json& w) -> Function {
         const auto k = w.at("k").get<std::int64_t>();
         return [=](const Tensors& x) { return cr::topk(x[0], k).values; };
       }},
      {"cumsum",
       [](const Json&) -> Function { return [](const Tensors& x) { return cr::cumsum(x[0], -1); }; }},
      {"random_normal",
       [](const Json& w) -> Function {
         const auto lengths = w.at("shape").get<std::vector<std::int64_t>>();
         const cr::Shape shape{std::span<const std::int64_t>(lengths)};
         return [=](const Tensors&) { return cr::random::normal(shape); };
       }},
  };
  return table;
}

double elements_of(const Json& lengths) {
  double count = 1;
  for (const Json& length : lengths) count *= length.get<double>();
  return count;
}

// What an op that looks up rows leaves unread of its inputs: `read` is the shape of what it reads.
double unread_bytes(const Json& workload) {
  double bytes = 0;
  for (const Json& input : workload.at("inputs")) {
    if (input.contains("read")) bytes += 4 * (elements_of(input["shape"]) - elements_of(input["read"]));
  }
  return bytes;
}

// The value and the gradients of the first `wrt` inputs, for a cotangent that is the last argument.
Tensors with_gradients(const Function& f, const Tensors& arguments, std::size_t wrt) {
  const Tensors inputs(arguments.begin(), arguments.end() - 1);
  const Tensors first(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(wrt));
  const auto g = [&](const Tensors& x) {
    Tensors all = x;
    all.insert(all.end(), inputs.begin() + static_cast<std::ptrdiff_t>(wrt), inputs.end());
    return f(all);
  };
  auto [value, gradients] = cr::vjp(g, first, arguments.back());
  Tensors result{value};
  result.insert(result.end(), gradients.begin(), gradients.end());
  return result;
}

}  // namespace

Program op(const Json& workload, const State& state) {
  const cr::DType dtype = dtype_named(workload.value("dtype", "float32"));
  const auto make = makers().at(workload.at("op").get<std::string>());
  const auto wrt = static_cast<std::size_t>(workload.value("wrt", 0));
  Tensors inputs;
  for (const Json& input : workload.at("inputs"))
    inputs.push_back(input_from(state.pool, input, static_cast<int>(inputs.size()), dtype));
  if (wrt > 0) {
    const cr::Shape shape = make(workload)(inputs).shape();
    const std::vector<std::int64_t> lengths(shape.begin(), shape.end());
    inputs.push_back(
        input_from(state.pool, Json{{"shape", lengths}}, static_cast<int>(inputs.size()), dtype));
  }
  // Dropout is on while the timing runs, and off for the check: random bits differ between libraries.
  const auto all = [make, wrt](const Json& w) -> std::function<Tensors(const Tensors&)> {
    const Function f = make(w);
    return [f, wrt](const Tensors& x) { return wrt > 0 ? with_gradients(f, x, wrt) : Tensors{f(x)}; };
  };
  Json plain = workload;
  if (workload.contains("dropout")) plain["dropout"] = 0.0;
  const auto scope = std::make_shared<cr::Context>(cr::ContextOptions{.train = true, .seed = 0});
  const auto compiled = std::make_shared<cr::Compiled<std::function<Tensors(const Tensors&)>>>(all(workload));
  return {.check =
              [=] {
                return summary_of(cr::Compiled<std::function<Tensors(const Tensors&)>>(all(plain))(inputs));
              },
          .call = [compiled, inputs, scope] { (*compiled)(inputs); },
          .work =
              [=] {
                Work work = work_of(all(workload)(inputs));
                work.bytes -= unread_bytes(workload);
                return work;
              },
          .check_after = true};
}

// One optimizer step on one parameter, in place.
Program update(const Json& workload, const State& state) {
  struct Parts {
    std::map<std::string, cr::Parameter> parameters;
    std::map<std::string, cr::Parameter> gradients;
    cr::optim::Optimizer optimizer;
  };
  const Json& inputs = workload.at("inputs");
  const cr::Tensor p = input_from(state.pool, inputs[0], 0, cr::DType::float32);
  const cr::Tensor g = input_from(state.pool, inputs[1], 1, cr::DType::float32);
  const auto make = [=] {
    auto parts = std::make_shared<Parts>(Parts{{{"p", p}}, {{"p", g}}, optimizer_of(workload)});
    parts->optimizer.init(parts->parameters);
    for (const cr::Leaf& leaf : cr::leaves(parts->optimizer)) leaf.tensor->eval();
    return parts;
  };
  const auto compiled_for = [](const std::shared_ptr<Parts>& parts) {
    return cr::compile(
        [parts](const cr::Tensor& gradient) {
          parts->optimizer.update(parts->parameters, std::map<std::string, cr::Parameter>{{"p", gradient}});
          return cr::Tensor(0.0);
        },
        parts->parameters, parts->optimizer);
  };
  const auto parts = make();
  const auto step = std::make_shared<decltype(compiled_for(parts))>(compiled_for(parts));
  return {.check =
              [=] {
                const auto fresh = make();
                auto one = compiled_for(fresh);
                for (int i = 0; i < 10; ++i) one(g);
                return summary_of(Tensors{fresh->parameters.at("p")});
              },
          .call = [=] { (*step)(g); },
          .work =
              [=] {
                const auto count = static_cast<double>(p.size());
                return Work{.other_flops = count * cr::find_op("adam_update")->flops_per_element,
                            .divisions = count,
                            .roots = count,
                            .bytes = 4 * 7 * count};
              },
          .check_after = true};
}

}  // namespace bench
