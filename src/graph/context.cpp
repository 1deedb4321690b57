#include <chainrule/context.hpp>

#include "graph/context_state.hpp"
#include "graph/node.hpp"
#include "graph/op.hpp"

namespace chainrule {
namespace {

// What the scopes of a thread have hidden, innermost last.
thread_local std::vector<ContextState> hidden_states;

}  // namespace

ContextState& context_state() {
  thread_local ContextState state;
  return state;
}

std::int64_t ContextState::next_host_key() {
  return fold_in_key(static_cast<std::int64_t>(seed), static_cast<std::int64_t>(drawn++));
}

Tensor ContextState::next_key() {
  if (!base_key.defined()) {
    const std::vector<std::int64_t> key = {next_host_key()};
    return Tensor::from(key, {});
  }
  Tensor position = full({}, static_cast<double>(drawn++), DType::int64);
  if (base_drawn.defined()) position = make_node(ops::add, {base_drawn, position});
  return make_node(ops::random_fold_in, {base_key, position});
}

Context::Context(ContextOptions options) : reseeded_(options.seed.has_value()) {
  ContextState& state = context_state();
  ContextState hidden = state;
  hidden.updates.clear();
  hidden.guards.clear();
  hidden_states.push_back(std::move(hidden));
  if (options.train) state.train = *options.train;
  if (options.seed) {
    state.seed = *options.seed;
    state.drawn = 0;
    state.base_key = Tensor();
    state.base_drawn = Tensor();
  }
}

Context::~Context() {
  ContextState& state = context_state();
  ContextState& hidden = hidden_states.back();
  state.train = hidden.train;
  if (reseeded_) {
    state.seed = hidden.seed;
    state.drawn = hidden.drawn;
    state.base_key = hidden.base_key;
    state.base_drawn = hidden.base_drawn;
  }
  hidden_states.pop_back();
}

bool Context::training() { return context_state().train; }

void Context::record_update(const Tensor& member, Tensor value) {
  context_state().updates.emplace_back(&member, std::move(value));
}

void seed(std::uint64_t seed) {
  ContextState& state = context_state();
  state.seed = seed;
  state.drawn = 0;
}

}  // namespace chainrule
