#include <chainrule/tree.hpp>

#include <algorithm>

#include "graph/context_state.hpp"
#include "graph/node.hpp"

namespace chainrule {

Parameter::Parameter(Tensor value) : Tensor(std::move(value)) { mark(); }
Parameter& Parameter::operator=(Tensor value) {
  Tensor::operator=(std::move(value));
  mark();
  return *this;
}
void Parameter::mark() const {
  if (defined()) node()->is_parameter.store(true, std::memory_order_relaxed);
}

std::string Visitor::path() const {
  std::string result;
  for (const Segment& segment : segments_) {
    if (!result.empty()) result += '.';
    result += segment.name.empty() ? std::to_string(segment.index) : std::string(segment.name);
  }
  return result;
}

void Visitor::enter(std::string_view) {}
void Visitor::leave() {}
void Visitor::option(bool&) {}
void Visitor::option(std::int64_t&) {}
void Visitor::option(double&) {}
void Visitor::option(std::string&) {}
void Visitor::option(Dims&) {}

void apply_updates(const std::vector<Leaf>& leaves) {
  auto& updates = context_state().updates;
  for (const Leaf& leaf : leaves) {
    const RecordedUpdate* update = context_state().update_of(*leaf.tensor);
    if (update != nullptr) *leaf.tensor = update->value;
  }
  std::erase_if(updates, [&](const auto& update) {
    return std::any_of(leaves.begin(), leaves.end(),
                       [&](const Leaf& leaf) { return leaf.tensor == update.member; });
  });
}

namespace detail {

bool path_matches(std::string_view path, std::string_view pattern) {
  // Greedy matching with one level of backtracking is enough for patterns whose only wildcard is *.
  std::size_t p = 0;
  std::size_t q = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (p < path.size()) {
    if (q < pattern.size() && pattern[q] == '*') {
      star = q++;
      resume = p;
    } else if (q < pattern.size() && pattern[q] == path[p]) {
      ++p;
      ++q;
    } else if (star != std::string_view::npos) {
      q = star + 1;
      p = ++resume;
    } else {
      return false;
    }
  }
  while (q < pattern.size() && pattern[q] == '*') ++q;
  return q == pattern.size();
}

}  // namespace detail
}  // namespace chainrule
