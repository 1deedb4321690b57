#include "graph/attributes.hpp"
#include "tensor/digits.hpp"

#include <bit>
#include <cstdio>
#include <functional>

namespace chainrule {
namespace {

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

// Sub-graphs and rules are equal when they are the same object.
std::string address(const void* pointer) {
  char text[32];
  std::snprintf(text, sizeof text, "%p", pointer);
  return text;
}

}  // namespace

std::uint64_t hash_attributes(const Attributes& attributes) {
  std::uint64_t hash = attributes.size();
  for (const Attribute& attribute : attributes) {
    hash = hash_combine(hash, attribute.index());
    hash = std::visit(
        Overloaded{[&](bool v) { return hash_combine(hash, v ? 1 : 0); },
                   [&](std::int64_t v) { return hash_combine(hash, static_cast<std::uint64_t>(v)); },
                   [&](double v) { return hash_combine(hash, std::bit_cast<std::uint64_t>(v)); },
                   [&](DType v) { return hash_combine(hash, static_cast<std::uint64_t>(v)); },
                   [&](const Dims& v) {
                     std::uint64_t h = hash_combine(hash, static_cast<std::uint64_t>(v.size()));
                     for (const std::int64_t x : v) h = hash_combine(h, static_cast<std::uint64_t>(x));
                     return h;
                   },
                   [&](const std::string& v) { return hash_combine(hash, std::hash<std::string>()(v)); },
                   [&](const auto& pointer) {
                     return hash_combine(hash, reinterpret_cast<std::uintptr_t>(pointer.get()));
                   }},
        attribute);
  }
  return hash;
}

std::string to_string(const Attribute& attribute) {
  return std::visit(
      Overloaded{
          [](bool v) { return std::string(v ? "true" : "false"); },
          [](std::int64_t v) { return std::to_string(v); }, [](double v) { return general_digits(v, 17); },
          [](DType v) { return std::string(dtype_name(v)); }, [](const Dims& v) { return to_string(v); },
          [](const std::string& v) { return '"' + v + '"'; },
          [](const std::shared_ptr<const SubGraph>& v) { return "sub-graph " + address(v.get()); },
          [](const std::shared_ptr<const CustomRule>& v) { return "custom rule " + address(v.get()); }},
      attribute);
}

}  // namespace chainrule
