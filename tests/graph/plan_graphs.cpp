#include "graph/plan_graphs.hpp"

#include <chainrule/chainrule.hpp>

#include "graph/profiler.hpp"

namespace cr = chainrule;

namespace {

using Tensors = std::vector<cr::Tensor>;
using Function = std::function<Tensors(const Tensors&)>;

cr::Tensor floats(const cr::Shape& shape) {
  return cr::random::uniform(cr::random::key(1), shape, 0.5, 1.5).eval();
}
cr::Tensor indices(const cr::Shape& shape) {
  return (cr::zeros(shape, cr::DType::int64) + std::int64_t{1}).eval();
}

PlanGraph call(std::string name, Tensors inputs, Function f) {
  return {std::move(name), [inputs = std::move(inputs), f = std::move(f)] { cr::compile(f)(inputs); }};
}

// A training step of a model: loss, gradients, the optimizer's update.
template <typename Model>
PlanGraph training_step(std::string name, Model model, cr::optim::Optimizer optimizer, cr::Tensor x,
                        cr::Tensor y) {
  return {std::move(name), [=] {
            const cr::Context context({.train = true, .seed = 1});
            Model trained = model;
            cr::optim::Optimizer updates = optimizer;
            updates.init(trained);
            const auto loss_of = [](const Model& m, const cr::Tensor& a, const cr::Tensor& b) {
              return cr::nn::cross_entropy(m(a), b);
            };
            auto step = cr::compile(
                [&](const cr::Tensor& a, const cr::Tensor& b) {
                  auto [loss, gradient] = cr::value_and_grad(loss_of)(trained, a, b);
                  updates.update(trained, gradient);
                  return loss;
                },
                trained, updates);
            step(x, y);
          }};
}

std::vector<PlanGraph> elementwise_graphs() {
  return {
      call("elementwise_chain", {floats({3, 4})},
           [](const Tensors& x) { return Tensors{cr::tanh(cr::square(x[0]) * 2.0 + 1.0)}; }),
      call("shared_value", {floats({3, 4})},
           [](const Tensors& x) {
             const cr::Tensor e = cr::exp(x[0]);
             return Tensors{e + cr::sin(e), e * cr::cos(e)};
           }),
      call("value_that_leaves", {floats({8})},
           [](const Tensors& x) {
             const cr::Tensor e = cr::exp(x[0]);
             return Tensors{cr::sum(cr::relu(e * 2.0) + 1.0), e};
           }),
      call("broadcast_bias", {floats({3, 4}), floats({4}), floats({3, 1})},
           [](const Tensors& x) { return Tensors{cr::relu(x[0] + x[1]) * x[2]}; }),
      call("long_chain", {floats({64})},
           [](const Tensors& x) {
             cr::Tensor y = x[0];
             for (int i = 0; i < 40; ++i) y = cr::sin(y) + x[0];
             return Tensors{y};
           }),
      call("constants_fold", {floats({4})},
           [](const Tensors& x) {
             const cr::Tensor half = cr::full({}, 1) / cr::full({}, 2);
             return Tensors{x[0] * cr::sqrt(half + half) + cr::exp(cr::zeros({4}))};
           }),
      call("mask", {floats({3, 4})},
           [](const Tensors& x) {
             return Tensors{cr::where(x[0] > 1.0, x[0], 0.0), (x[0] > 1.0).astype(cr::DType::int32)};
           }),
      call("gelu_residual", {floats({2, 8}), floats({8})},
           [](const Tensors& x) { return Tensors{x[0] + cr::gelu(x[0] + x[1])}; }),
  };
}

std::vector<PlanGraph> product_graphs() {
  return {
      call("matmul_bias_relu", {floats({4, 3}), floats({5, 3}), floats({5})},
           [](const Tensors& x) { return Tensors{cr::relu(cr::matmul(x[0], cr::transpose(x[1])) + x[2])}; }),
      call("matmul_chain", {floats({4, 3}), floats({3, 5}), floats({5, 2})},
           [](const Tensors& x) { return Tensors{cr::matmul(cr::matmul(x[0], x[1]), x[2])}; }),
      call("weight_gradient", {floats({5, 3}), floats({4, 3})},
           [](const Tensors& x) {
             const auto loss = [&](const cr::Tensor& w) {
               return cr::sum(cr::square(cr::matmul(x[1], cr::transpose(w))));
             };
             return Tensors{cr::grad(loss)(x[0])};
           }),
      call("einsum", {floats({2, 3, 4}), floats({2, 4, 5})},
           [](const Tensors& x) {
             return Tensors{cr::einsum("bij,bjk->bki", {x[0], x[1]})};
           }),
      call("attention", {floats({2, 3, 4}), floats({2, 3, 4}), floats({2, 3, 4})},
           [](const Tensors& x) {
             return Tensors{cr::matmul(cr::softmax(cr::matmul(x[0], cr::transpose(x[1])) * 0.5), x[2])};
           }),
  };
}

std::vector<PlanGraph> row_graphs() {
  const auto entropy = [](const cr::Tensor& z, const cr::Tensor& classes) {
    return cr::mean(cr::softmax_cross_entropy(z, classes));
  };
  return {
      call("softmax_cross_entropy", {floats({4, 3}), indices({4})},
           [=](const Tensors& x) { return Tensors{entropy(x[0], x[1])}; }),
      call("softmax_cross_entropy_gradient", {floats({4, 3}), indices({4})},
           [=](const Tensors& x) {
             auto [loss, bar] =
                 cr::value_and_grad([&](const cr::Tensor& z) { return entropy(z, x[1]); })(x[0]);
             return Tensors{loss, bar};
           }),
      call("softmax_gradient", {floats({4, 3}), floats({4, 3})},
           [](const Tensors& x) {
             return Tensors{
                 cr::grad([&](const cr::Tensor& z) { return cr::sum(cr::softmax(z) * x[1]); })(x[0])};
           }),
      call("layer_norm", {floats({4, 6})},
           [](const Tensors& x) {
             const cr::Tensor mean = cr::mean(x[0], {1}, true);
             const cr::Tensor var = cr::var(x[0], {1}, 0, true);
             return Tensors{(x[0] - mean) * cr::rsqrt(var + 1e-5)};
           }),
      call("layer_norm_gradient", {floats({4, 6})},
           [](const Tensors& x) {
             const auto f = [](const cr::Tensor& a) {
               const cr::Tensor mean = cr::mean(a, {1}, true);
               return cr::sum(cr::square((a - mean) * cr::rsqrt(cr::var(a, {1}, 0, true) + 1e-5)));
             };
             return Tensors{cr::grad(f)(x[0])};
           }),
      call("reductions", {floats({3, 4, 5})},
           [](const Tensors& x) {
             return Tensors{cr::sum(x[0], {0}), cr::mean(x[0]), cr::max(x[0], {1, 2}), cr::argmax(x[0], 1)};
           }),
      call("reduced_chain", {floats({6, 8})},
           [](const Tensors& x) { return Tensors{cr::sum(cr::exp(x[0]) * x[0], {1})}; }),
      call("logsumexp", {floats({6, 8})},
           [](const Tensors& x) {
             return Tensors{cr::logsumexp(x[0], {1}), cr::std(x[0], {0})};
           }),
  };
}

std::vector<PlanGraph> memory_graphs() {
  return {
      call("views", {floats({3, 4})},
           [](const Tensors& x) {
             return Tensors{cr::flip(cr::slice(cr::transpose(x[0]), 0, 1, 4, 2)) + 1.0,
                            cr::reshape(x[0], {2, 6})};
           }),
      call("view_that_copies", {floats({3, 4})},
           [](const Tensors& x) {
             return Tensors{cr::exp(cr::reshape(cr::transpose(x[0]), {2, 6}))};
           }),
      call("concatenate_and_pad", {floats({2, 3}), floats({2, 2})},
           [](const Tensors& x) {
             return Tensors{cr::pad(cr::concatenate({x[0], x[1]}, 1) * 2.0, {1, 0}, {0, 1})};
           }),
      call("gather_scatter", {floats({4, 3}), indices({2, 3})},
           [](const Tensors& x) {
             return Tensors{cr::scatter_add(x[0], x[1], cr::gather(x[0], x[1], 0) * 2.0, 0)};
           }),
      call("embedding_gradient", {floats({5, 3}), indices({4})},
           [](const Tensors& x) {
             const auto f = [&](const cr::Tensor& w) { return cr::sum(cr::square(cr::take(w, x[1]))); };
             return Tensors{cr::grad(f)(x[0])};
           }),
      call("sort_and_topk", {floats({4, 6})},
           [](const Tensors& x) {
             return Tensors{cr::sort(x[0] * 2.0, 1), cr::topk(x[0], 2, 1).values};
           }),
      {"state_in_place",
       [] {
         Tensors state{floats({6}), floats({6})};
         auto step = cr::compile(
             [&](const cr::Tensor& g) {
               state[1] = state[1] * 0.9 + g;
               state[0] = state[0] - state[1] * 0.1;
               return cr::sum(g);
             },
             state);
         step(floats({6}));
       }},
      {"states_that_swap",
       [] {
         Tensors state{floats({6}), floats({6})};
         auto step = cr::compile(
             [&](const cr::Tensor& g) {
               std::swap(state[0], state[1]);
               return cr::sum(g);
             },
             state);
         step(floats({6}));
       }},
  };
}

std::vector<PlanGraph> transform_graphs() {
  const auto loss = [](const cr::Tensor& w, const cr::Tensor& x) {
    return cr::sum(cr::square(cr::tanh(cr::matmul(x, w))));
  };
  const auto loop = [](const cr::Tensor& w, const cr::Tensor& xs) {
    const cr::ScanBody body = [&](const Tensors& carry, const Tensors& x) {
      const cr::Tensor h = cr::tanh(carry[0] * w + x[0]);
      return cr::ScanResult{{h}, {h}};
    };
    return cr::scan(body, {cr::zeros({3})}, {xs}).carry[0];
  };
  return {
      call("hessian_vector_product", {floats({3, 2}), floats({4, 3}), floats({3, 2})},
           [=](const Tensors& x) {
             return Tensors{cr::hvp([&](const cr::Tensor& w) { return loss(w, x[1]); }, x[0], x[2])};
           }),
      call("jvp", {floats({3, 2}), floats({4, 3}), floats({3, 2})},
           [=](const Tensors& x) {
             return Tensors{cr::jvp([&](const cr::Tensor& w) { return loss(w, x[1]); }, x[0], x[2]).second};
           }),
      call("per_example_gradients", {floats({3, 2}), floats({4, 3})},
           [=](const Tensors& x) {
             const auto gradient = [&](const cr::Tensor& example) {
               return cr::grad([&](const cr::Tensor& w) {
                 return loss(w, cr::reshape(example, {1, 3}));
               })(x[0]);
             };
             return Tensors{cr::vmap(gradient)(x[1])};
           }),
      call("scan", {floats({3}), floats({4, 3})},
           [=](const Tensors& x) { return Tensors{loop(x[0], x[1])}; }),
      call("scan_gradient", {floats({3}), floats({4, 3})},
           [=](const Tensors& x) {
             return Tensors{cr::grad([&](const cr::Tensor& w) { return cr::sum(loop(w, x[1])); })(x[0])};
           }),
      call("random", {cr::random::key(3).eval()},
           [](const Tensors& x) {
             return Tensors{cr::random::normal(x[0], {8}, 1, 2),
                            cr::random::uniform(cr::random::fold_in(x[0], cr::Tensor(std::int64_t{1})), {8})};
           }),
      call("dropout", {floats({4, 8})},
           [drop = cr::nn::Dropout(0.25)](const Tensors& x) {
             const cr::Context context({.train = true, .seed = 1});
             return Tensors{cr::relu(drop(x[0]))};
           }),
  };
}

std::vector<PlanGraph> training_graphs() {
  using namespace cr::nn;
  const cr::Tensor x = floats({8, 6});
  const cr::Tensor y = indices({8});
  const Sequential mlp(Linear(6, 5), ReLU(), Linear(5, 3));
  return {
      training_step("mlp_sgd_step", mlp, cr::optim::SGD({.lr = 0.1}), x, y),
      training_step("mlp_momentum_step", mlp, cr::optim::SGD({.lr = 0.1, .momentum = 0.9}), x, y),
      training_step("mlp_adam_step", mlp, cr::optim::Adam({.lr = 1e-3}), x, y),
      training_step("batch_norm_step", Sequential(Linear(6, 5), BatchNorm(5), ReLU(), Linear(5, 3)),
                    cr::optim::SGD({.lr = 0.1}), x, y),
      training_step("layer_norm_dropout_step",
                    Sequential(Linear(6, 8), LayerNorm(8), GELU(), Dropout(0.1), Linear(8, 3)),
                    cr::optim::AdamW({.lr = 1e-3}), x, y),
  };
}

}  // namespace

const std::vector<PlanGraph>& plan_graphs() {
  static const auto* graphs = [] {
    auto* all = new std::vector<PlanGraph>;
    for (auto* family :
         {elementwise_graphs, product_graphs, row_graphs, memory_graphs, transform_graphs, training_graphs}) {
      for (PlanGraph& graph : family()) all->push_back(std::move(graph));
    }
    return all;
  }();
  return *graphs;
}

// The compiled call is what runs last; before it, inputs and constants get their values.
std::shared_ptr<const cr::Plan> plan_of(const PlanGraph& graph) {
  cr::InstructionProfiler profiler;
  graph.run();
  return profiler.records().back().plan;
}
