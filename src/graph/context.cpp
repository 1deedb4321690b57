#include <chainrule/context.hpp>

#include <exception>
#include <string>

#include <chainrule/error.hpp>

#include "graph/context_state.hpp"
#include "graph/node.hpp"
#include "graph/op.hpp"

namespace chainrule {
namespace {

// What the scopes of a thread have hidden, innermost last.
thread_local std::vector<ContextState> hidden_states;

void check_policy(const DTypePolicy& policy) {
  const auto check = [](const char* argument, DType dtype) {
    if (is_floating(dtype)) return;
    throw DTypeError({.function = "Context",
                      .argument = argument,
                      .problem = "layers keep and compute floating numbers",
                      .got = std::string(dtype_name(dtype)),
                      .wanted = "bfloat16, float32 or float64"});
  };
  check("dtypes.parameters", policy.parameters);
  if (policy.compute) check("dtypes.compute", *policy.compute);
  check("dtypes.reductions", policy.reductions);
}

Tensor in_dtype(const Tensor& x, DType dtype) { return x.dtype() == dtype ? x : x.astype(dtype); }

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

const Tensor& ContextState::original(const Tensor& member) const {
  const Tensor* found = &member;
  // A transform inside of another copies the copy: inner ones come last.
  for (auto pair = stand_ins.rbegin(); pair != stand_ins.rend(); ++pair) {
    if (pair->first == found) found = pair->second;
  }
  return *found;
}

RecordedUpdate* ContextState::update_of(const Tensor& member) {
  for (auto update = updates.rbegin(); update != updates.rend(); ++update) {
    if (update->member != &member) continue;
    const bool holds =
        update->before.node() == member.node() && update->before.output_index() == member.output_index();
    return holds ? &*update : nullptr;
  }
  return nullptr;
}

std::uint64_t ContextState::dtypes_key() const {
  if (!dtypes) return 0;
  const auto digit = [](DType dtype) { return static_cast<std::uint64_t>(dtype) + 1; };
  const std::uint64_t compute = dtypes->compute ? digit(*dtypes->compute) : 0;
  return (digit(dtypes->parameters) * 16 + compute) * 16 + digit(dtypes->reductions);
}

void ContextState::drop_updates(std::uint64_t serial) {
  std::erase_if(updates, [&](const RecordedUpdate& update) { return update.serial >= serial; });
}

Context::Context(ContextOptions options) : reseeded_(options.seed.has_value()) {
  if (options.dtypes) check_policy(*options.dtypes);
  ContextState& state = context_state();
  ContextState hidden = state;
  hidden.updates.clear();
  hidden.guards.clear();
  hidden_states.push_back(std::move(hidden));
  state.first_update = state.next_update;
  if (options.train) state.train = *options.train;
  if (options.dtypes) state.dtypes = options.dtypes;
  if (options.flush_subnormals) state.flush_subnormals = *options.flush_subnormals;
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
  state.dtypes = hidden.dtypes;
  state.flush_subnormals = hidden.flush_subnormals;
  // A forward pass that nobody followed up leaves nothing behind. `compile` and `vmap` collect for
  // themselves.
  if (!state.tracing) state.drop_updates(state.first_update);
  state.first_update = hidden.first_update;
  if (reseeded_) {
    state.seed = hidden.seed;
    state.drawn = hidden.drawn;
    state.base_key = hidden.base_key;
    state.base_drawn = hidden.base_drawn;
  }
  hidden_states.pop_back();
}

bool Context::training() { return context_state().train; }
const std::optional<DTypePolicy>& Context::dtypes() { return context_state().dtypes; }

DType Context::parameter_dtype() {
  const auto& policy = dtypes();
  return policy ? policy->parameters : DType::float32;
}

Tensor Context::to_compute(const Tensor& x) {
  const auto& policy = dtypes();
  return policy && policy->compute ? in_dtype(x, *policy->compute) : x;
}

Tensor Context::to_reductions(const Tensor& x) {
  const auto& policy = dtypes();
  return policy && is_floating(x.dtype()) ? in_dtype(x, promote(x.dtype(), policy->reductions)) : x;
}

void Context::record_update(const Tensor& member, Tensor value) {
  ContextState& state = context_state();
  const Tensor& place = state.original(member);
  RecordedUpdate* earlier = state.update_of(place);
  if (earlier != nullptr && earlier->serial >= state.first_update) {
    earlier->value = std::move(value);
    return;
  }
  state.updates.push_back({&place, place, std::move(value), state.next_update++});
}

Tensor Context::pending_value(const Tensor& member) {
  ContextState& state = context_state();
  const RecordedUpdate* update = state.update_of(state.original(member));
  if (update == nullptr) return member;
  // Many passes without an update must not pile up as one expression.
  if (!state.tracing) update->value.eval();
  return update->value;
}

namespace detail {

StandIns::StandIns(const std::vector<Tensor*>& copies, const std::vector<Tensor*>& originals)
    : count_(copies.size()), exceptions_(std::uncaught_exceptions()) {
  ContextState& state = context_state();
  first_update_ = state.next_update;
  for (std::size_t i = 0; i < count_; ++i) state.stand_ins.emplace_back(copies[i], originals[i]);
}

StandIns::~StandIns() {
  ContextState& state = context_state();
  state.stand_ins.resize(state.stand_ins.size() - count_);
  if (std::uncaught_exceptions() > exceptions_) state.drop_updates(first_update_);
}

}  // namespace detail

void seed(std::uint64_t seed) {
  ContextState& state = context_state();
  state.seed = seed;
  state.drawn = 0;
}

}  // namespace chainrule
