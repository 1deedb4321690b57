#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <chainrule/dtype.hpp>
#include <chainrule/shape.hpp>

namespace chainrule {

struct SubGraph;
struct CustomRule;

/// The values that an op's attribute may have: a closed set with equality, hash and text, so that any
/// node can be compared, exported and printed. Only a user's custom rule holds a closure.
using Attribute = std::variant<bool, std::int64_t, double, DType, Dims, std::string,
                               std::shared_ptr<const SubGraph>, std::shared_ptr<const CustomRule>>;

/// A node's attributes, in the order in which its op declares them.
using Attributes = std::vector<Attribute>;

std::uint64_t hash_attributes(const Attributes& attributes);
std::string to_string(const Attribute& attribute);

/// Mixes `value` into `seed` (the finalizer of splitmix64).
inline std::uint64_t hash_combine(std::uint64_t seed, std::uint64_t value) {
  std::uint64_t z = seed + 0x9e3779b97f4a7c15ULL + value;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace chainrule
