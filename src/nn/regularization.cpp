#include <chainrule/nn/regularization.hpp>

#include <string>

#include <chainrule/context.hpp>
#include <chainrule/error.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/text.hpp>

namespace chainrule::nn::detail {
namespace {

void check_limit(const char* function, const char* argument, double value) {
  if (value > 0) return;
  throw ArgumentError({.function = function,
                       .argument = argument,
                       .problem = "a bound is positive",
                       .got = short_number(value),
                       .wanted = "more than 0"});
}

Tensor sum_of_squares(const std::vector<Leaf>& leaves) {
  Tensor total;
  for (const Leaf& leaf : leaves) {
    if (leaf.kind == LeafKind::buffer || !leaf.tensor->defined()) continue;
    const Tensor part = sum(square(Context::to_reductions(*leaf.tensor)));
    total = total.defined() ? total + part : part;
  }
  return total;
}

}  // namespace

Tensor sum_of_powers(const std::vector<Leaf>& leaves, std::string_view pattern, int power) {
  Tensor total;
  for (const Leaf& leaf : leaves) {
    if (leaf.kind != LeafKind::parameter || !chainrule::detail::path_matches(leaf.path, pattern)) continue;
    const Tensor w = Context::to_reductions(*leaf.tensor);
    const Tensor part = sum(power == 1 ? abs(w) : square(w));
    total = total.defined() ? total + part : part;
  }
  if (total.defined()) return total;
  std::vector<std::string> paths;
  for (const Leaf& leaf : leaves) paths.push_back(leaf.path);
  throw ArgumentError({.function = power == 1 ? "l1_penalty" : "l2_penalty",
                       .argument = "pattern",
                       .problem = "no trainable parameter matches",
                       .got = quote(pattern),
                       .wanted = "a parameter's path, with * for any characters",
                       .hint = suggest(pattern, paths)});
}

Tensor elastic_net(const std::vector<Leaf>& leaves, const ElasticNetOptions& options) {
  if (!(options.l1_ratio >= 0 && options.l1_ratio <= 1)) {
    throw ArgumentError({.function = "elastic_net_penalty",
                         .argument = "l1_ratio",
                         .problem = "not a share",
                         .got = short_number(options.l1_ratio),
                         .wanted = "0 to 1"});
  }
  const Tensor l1 = sum_of_powers(leaves, options.pattern, 1);
  const Tensor l2 = sum_of_powers(leaves, options.pattern, 2);
  return l1 * (options.alpha * options.l1_ratio) + l2 * (options.alpha * (1 - options.l1_ratio) / 2);
}

Tensor global_norm(const std::vector<Leaf>& leaves) {
  const Tensor total = sum_of_squares(leaves);
  return total.defined() ? sqrt(total) : zeros({});
}

void clip_by_value(const std::vector<Leaf>& leaves, double limit) {
  check_limit("clip_by_value", "limit", limit);
  for (const Leaf& leaf : leaves) {
    if (leaf.tensor->defined()) *leaf.tensor = clamp(*leaf.tensor, -limit, limit);
  }
}

void clip_by_norm(const std::vector<Leaf>& leaves, double max_norm) {
  check_limit("clip_by_norm", "max_norm", max_norm);
  const Tensor scale = minimum(max_norm / (global_norm(leaves) + 1e-6), 1.0);
  for (const Leaf& leaf : leaves) {
    if (leaf.tensor->defined()) *leaf.tensor = *leaf.tensor * astype(scale, leaf.tensor->dtype());
  }
}

}  // namespace chainrule::nn::detail
