// Workloads made of multilayer perceptrons: training steps, their compilation, inference, an epoch.

#include <chrono>
#include <cstdio>

#include "graph/op.hpp"
#include "workloads/workload.hpp"

namespace bench {
namespace {

namespace cr = chainrule;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

cr::nn::Module activation_named(const std::string& name) {
  if (name == "relu") return cr::nn::ReLU();
  if (name == "gelu") return cr::nn::GELU();
  return cr::nn::Tanh();
}

// A model with its optimizer, and a step that holds both by reference. Neither copied nor moved.
struct Training {
  Training(const Json& workload, const cr::NamedArrays& arrays, bool with_dropout)
      : model(network_with_weights(workload, arrays, with_dropout)),
        optimizer(optimizer_of(workload)),
        loss_of(loss_named(workload.value("loss", "mse"))),
        x(cr::Tensor(arrays.at("x"))),
        y(cr::Tensor(arrays.at("y"))) {
    optimizer.init(model);
    for (const cr::Leaf& leaf : cr::leaves(optimizer)) leaf.tensor->eval();
  }
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  cr::Tensor step(const cr::Tensor& in, const cr::Tensor& target) {
    const auto loss_for = [this](const cr::nn::Sequential& m, const cr::Tensor& a, const cr::Tensor& b) {
      return loss_of(m(a), b);
    };
    auto [loss, gradient] = cr::value_and_grad(loss_for)(model, in, target);
    optimizer.update(model, gradient);
    return loss;
  }
  auto compiled() {
    return cr::compile([this](const cr::Tensor& in, const cr::Tensor& target) { return step(in, target); },
                       model, optimizer);
  }

  cr::nn::Sequential model;
  cr::optim::Optimizer optimizer;
  cr::train::Loss loss_of;
  cr::Tensor x, y;
  const cr::Context scope{{.train = true, .seed = 0}};
};

constexpr int checked_steps = 10;

std::vector<double> ten_losses(const Json& workload, const cr::NamedArrays& arrays, bool compiled) {
  Training training(workload, arrays, false);
  auto step = training.compiled();
  std::vector<double> losses;
  for (int i = 0; i < checked_steps; ++i) {
    const cr::Tensor loss = compiled ? step(training.x, training.y) : training.step(training.x, training.y);
    losses.push_back(loss.item<double>());
  }
  return losses;
}

// Traced as compile does it, but kept: the new values of the whole state and the loss.
Work work_of_step(const Json& workload, const cr::NamedArrays& arrays) {
  Training training(workload, arrays, true);
  cr::nn::Sequential& model = training.model;
  const auto loss_for = [&](const cr::nn::Sequential& m, const cr::Tensor& a, const cr::Tensor& b) {
    return training.loss_of(m(a), b);
  };
  auto [loss, gradient] = cr::value_and_grad(loss_for)(model, training.x, training.y);
  std::vector<cr::Tensor> outputs{loss};
  for (const cr::Leaf& leaf : cr::leaves(gradient)) outputs.push_back(*leaf.tensor);
  Work work = work_of(outputs);
  // The gradients need not reach memory; the update reads and writes the parameters and its own state.
  const auto parameters = static_cast<double>(cr::parameter_count(model));
  double state = 0;
  for (const cr::Leaf& leaf : cr::leaves(training.optimizer)) {
    if (leaf.tensor->rank() > 0) state += static_cast<double>(leaf.tensor->size());
  }
  work.bytes += 4 * 2 * state;
  const bool adam = training.optimizer.name() != "SGD";
  work.other_flops += parameters * (adam ? cr::find_op("adam_update")->flops_per_element : 2);
  work.divisions = adam ? parameters : 0;
  work.roots = adam ? parameters : 0;
  return work;
}

template <typename Call>
Program step_program(const Json& workload, const State& state, bool compiled, Call make_call) {
  const auto arrays = std::make_shared<cr::NamedArrays>(cr::load_npz(state.path(workload)));
  return {.check = [=] { return ten_losses(workload, *arrays, compiled); },
          .call = make_call(arrays),
          .work = [=] { return work_of_step(workload, *arrays); }};
}

}  // namespace

cr::train::Loss loss_named(const std::string& name) {
  if (name == "cross_entropy") return cr::nn::cross_entropy;
  return cr::nn::mse_loss;
}

cr::optim::Optimizer optimizer_of(const Json& workload) {
  const Json& o = workload.at("optimizer");
  const auto name = o.at("name").get<std::string>();
  const auto lr = o.at("lr").get<double>();
  const double decay = o.value("weight_decay", 0.0);
  if (name == "Adam") return cr::optim::Adam({.lr = lr, .weight_decay = decay});
  if (name == "AdamW") return cr::optim::AdamW({.lr = lr, .weight_decay = decay});
  return cr::optim::SGD({.lr = lr, .weight_decay = decay});
}

cr::nn::Sequential network(const Json& workload, bool with_dropout) {
  const auto widths = workload.at("widths").get<std::vector<std::int64_t>>();
  const double p = workload.value("dropout", 0.0);
  cr::nn::Sequential model;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    if (i > 0) {
      model.add(activation_named(workload.at("activation").get<std::string>()));
      if (with_dropout && p > 0) model.add(cr::nn::Dropout(p));
    }
    model.add(cr::nn::Linear(widths[i], widths[i + 1]));
  }
  return model;
}

cr::nn::Sequential network_with_weights(const Json& workload, const cr::NamedArrays& arrays,
                                        bool with_dropout) {
  cr::nn::Sequential model = network(workload, with_dropout);
  int layer = 0;
  for (std::int64_t i = 0; i < model.size(); ++i) {
    auto* linear = model[i].get_if<cr::nn::Linear>();
    if (linear == nullptr) continue;
    const std::string number = std::to_string(layer++);
    linear->weight = cr::Tensor(arrays.at("weight" + number));
    linear->bias = cr::Tensor(arrays.at("bias" + number));
  }
  return model;
}

Program train_step(const Json& workload, const State& state) {
  const bool compiled = workload.value("mode", "compiled") == "compiled";
  return step_program(workload, state, compiled, [&](const auto& arrays) -> std::function<void()> {
    const auto training = std::make_shared<std::unique_ptr<Training>>();
    const auto prepare = [=] {
      if (*training == nullptr) *training = std::make_unique<Training>(workload, *arrays, true);
    };
    if (!compiled) {
      return [=] {
        prepare();
        (*training)->step((*training)->x, (*training)->y).eval();
      };
    }
    using Step = decltype(std::declval<Training&>().compiled());
    const auto step = std::make_shared<std::unique_ptr<Step>>();
    return [=] {
      if (*step == nullptr) {
        prepare();
        *step = std::make_unique<Step>((*training)->compiled());
      }
      (**step)((*training)->x, (*training)->y).eval();
    };
  });
}

// The first call alone, in a process that has compiled nothing before.
Program compile_time(const Json& workload, const State& state) {
  Program program = train_step(workload, state);
  const auto arrays = std::make_shared<cr::NamedArrays>(cr::load_npz(state.path(workload)));
  program.timed = [=] {
    Training training(workload, *arrays, true);
    const auto start = Clock::now();
    auto step = training.compiled();
    step(training.x, training.y).eval();
    return seconds_since(start);
  };
  program.check_after = true;
  return program;
}

Program inference(const Json& workload, const State& state) {
  const cr::NamedArrays arrays = cr::load_npz(state.path(workload));
  const auto model = std::make_shared<cr::nn::Sequential>(network_with_weights(workload, arrays, false));
  const cr::Tensor x{arrays.at("x")};
  const auto forward =
      std::make_shared<cr::Compiled<std::function<cr::Tensor(const cr::Tensor&)>, cr::nn::Sequential>>(
          [model](const cr::Tensor& in) { return (*model)(in); }, *model);
  return {.check = [=] { return summary_of(std::vector<cr::Tensor>{model->predict(x)}); },
          .call = [=] { (*forward)(x).eval(); },
          .work = [=] { return work_of(std::vector<cr::Tensor>{(*model)(x)}); }};
}

namespace {

// Fashion-MNIST, or as many random pictures as a few batches need.
cr::data::Dataset pictures(const Json& workload) {
  const auto widths = workload.at("widths").get<std::vector<std::int64_t>>();
  if (widths.front() == 784) {
    cr::data::Dataset dataset = cr::data::fashion_mnist();
    return dataset;
  }
  const std::int64_t examples = 3 * workload.at("batch").get<std::int64_t>();
  std::vector<std::int64_t> classes;
  for (std::int64_t i = 0; i < examples; ++i) classes.push_back(i % widths.back());
  return cr::data::from(cr::random::uniform(cr::random::key(0), {examples, widths.front()}).eval(),
                        cr::Tensor::from(classes, {examples}));
}

// The line that the program redraws on a terminal, to a file that nobody reads.
void draw(const cr::train::StepEvent& event) {
  static const std::unique_ptr<std::FILE, int (*)(std::FILE*)> nowhere(std::fopen("/dev/null", "w"),
                                                                       std::fclose);
  static Clock::time_point drawn;
  if (seconds_since(drawn) < 0.08) return;
  drawn = Clock::now();
  std::fprintf(nowhere.get(), "\repoch %d %d/%d loss %.4f %.0f ex/s", static_cast<int>(event.epoch),
               static_cast<int>(event.batch), static_cast<int>(event.batches), event.mean_loss,
               event.examples_per_second);
  std::fflush(nowhere.get());
}

struct EpochRun {
  double seconds = 0;
  double loss = 0;
};

EpochRun one_epoch(const Json& workload, const cr::NamedArrays& arrays, const cr::data::Dataset& dataset) {
  cr::nn::Sequential model(cr::nn::Flatten(), network_with_weights(workload, arrays, true));
  const auto start = Clock::now();
  const cr::train::Run run = cr::train::fit(model, dataset,
                                            {.loss = loss_named(workload.at("loss").get<std::string>()),
                                             .optimizer = optimizer_of(workload),
                                             .epochs = 1,
                                             .batch_size = workload.at("batch").get<std::int64_t>(),
                                             .callbacks = {.step = draw}});
  return {seconds_since(start), run.epochs.at(0).loss};
}

}  // namespace

Program epoch(const Json& workload, const State& state) {
  const auto arrays = std::make_shared<cr::NamedArrays>(cr::load_npz(state.path(workload)));
  const auto dataset = std::make_shared<cr::data::Dataset>(pictures(workload));
  const std::int64_t batch = workload.at("batch").get<std::int64_t>();
  const auto batches = static_cast<double>((dataset->size() + batch - 1) / batch);
  // As many bare steps, on one batch, after each epoch: the trainer's own share is the difference.
  const auto bare_runs = std::make_shared<std::vector<double>>();
  const auto bare = [=] {
    Training training(workload, *arrays, true);
    auto step = training.compiled();
    step(training.x, training.y).eval();
    const auto start = Clock::now();
    for (int i = 0; i < static_cast<int>(batches); ++i) step(training.x, training.y).eval();
    return seconds_since(start);
  };
  return {.check = [=] { return std::vector<double>{one_epoch(workload, *arrays, *dataset).loss}; },
          .work =
              [=] {
                Work work = work_of_step(workload, *arrays);
                for (double* part :
                     {&work.product_flops, &work.other_flops, &work.divisions, &work.roots, &work.bytes})
                  *part *= batches;
                return work;
              },
          .timed =
              [=] {
                const double seconds = one_epoch(workload, *arrays, *dataset).seconds;
                bare_runs->push_back(bare());
                return seconds;
              },
          .extras =
              [=] {
                return Json{{"bare_steps", *bare_runs}};
              }};
}

}  // namespace bench
