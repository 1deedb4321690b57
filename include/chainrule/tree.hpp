#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <chainrule/function_ref.hpp>
#include <chainrule/tensor.hpp>

/// State has one form. A tree is anything whose tensors can be visited with their paths: a Tensor, vectors,
/// maps and tuples of trees, and every class with a member `void visit(Visitor& v)` that names its parts:
///
///     struct Affine {
///       Parameter weight, bias;
///       Tensor operator()(const Tensor& x) const { return matmul(x, weight) + bias; }
///       void visit(Visitor& v) { v("weight", weight); v("bias", bias); }
///     };
///
/// Gradients, checkpoints, parameter groups, freezing and counting are walks over trees.
namespace chainrule {

/// A tensor that training changes. `trainable = false` freezes it: it gets no gradient.
class CHAINRULE_API Parameter : public Tensor {
 public:
  Parameter() = default;
  Parameter(Tensor value);  // NOLINT: implicit on purpose, so that `weight = weight - step` reads well
  Parameter& operator=(Tensor value);
  bool trainable = true;

  /// Internal: tells the tensor that it is a parameter, which `compile` must not take for a constant.
  void mark() const;
};

enum class LeafKind : std::uint8_t {
  parameter,  ///< differentiated and updated
  frozen,     ///< a parameter that is left as it is
  buffer      ///< state that is not learned, such as running averages and step counts
};

/// Walks over a tree. Derived classes say what happens at its leaves and options.
class CHAINRULE_API Visitor {
 public:
  virtual ~Visitor() = default;

  /// A named part: a tensor, a tree, or an option (a number, flag or string that shapes the computation).
  template <typename T>
  void operator()(std::string_view name, T& part) {
    segments_.push_back({name, 0});
    visit_part(part);
    segments_.pop_back();
  }
  /// A numbered part, as in a list of layers.
  template <typename T>
  void operator()(std::int64_t index, T& part) {
    segments_.push_back({{}, index});
    visit_part(part);
    segments_.pop_back();
  }
  /// State that is not learned.
  void buffer(std::string_view name, Tensor& part) {
    segments_.push_back({name, 0});
    leaf(part, LeafKind::buffer, nullptr);
    segments_.pop_back();
  }
  /// The tree itself, without a name in front.
  template <typename T>
  void visit_part(T& part);

  /// Where the walk stands: "0.weight".
  std::string path() const;

 protected:
  /// Called before and after the parts of an object that names its type with a
  /// `static constexpr std::string_view type_name`: one walk tells the structure too.
  virtual void enter(std::string_view type);
  virtual void leave();
  /// `trainable` points to the parameter's flag; null for plain tensors and buffers.
  virtual void leaf(Tensor& tensor, LeafKind kind, bool* trainable) = 0;
  virtual void option(bool& value);
  virtual void option(std::int64_t& value);
  virtual void option(double& value);
  virtual void option(std::string& value);
  virtual void option(Dims& value);

 private:
  struct Segment {
    std::string_view name;
    std::int64_t index;
  };
  std::vector<Segment> segments_;
};

template <typename T>
concept Visitable = requires(T& tree, Visitor& visitor) {
  tree.visit(visitor);
};

/// A type with a name, such as a layer's.
template <typename T>
concept NamedType = requires {
  std::string_view(T::type_name);
};

/// A leaf with the place where it is kept.
struct Leaf {
  std::string path;
  Tensor* tensor;
  LeafKind kind;
  bool* trainable;
};

namespace detail {
using LeafFn = FunctionRef<void(Visitor&, Tensor&, LeafKind, bool*)>;
class CHAINRULE_API LeafVisitor : public Visitor {
 public:
  explicit LeafVisitor(LeafFn f) : f_(f) {}

 protected:
  void leaf(Tensor& tensor, LeafKind kind, bool* trainable) override { f_(*this, tensor, kind, trainable); }

 private:
  LeafFn f_;
};
/// True when `path` matches a pattern in which * stands for any characters: "0.*", "*.bias".
CHAINRULE_API bool path_matches(std::string_view path, std::string_view pattern);
}  // namespace detail

/// Every leaf of a tree, in visiting order.
template <typename Tree>
std::vector<Leaf> leaves(Tree& tree) {
  std::vector<Leaf> result;
  const auto collect = [&](Visitor& v, Tensor& t, LeafKind kind, bool* trainable) {
    result.push_back({v.path(), &t, kind, trainable});
  };
  detail::LeafVisitor visitor(collect);
  visitor.visit_part(const_cast<std::remove_const_t<Tree>&>(tree));
  return result;
}

/// Freezes the parameters whose path matches: `freeze(model, "0.*")`. Returns how many there are.
template <typename Tree>
int freeze(Tree& tree, std::string_view pattern, bool frozen = true) {
  int count = 0;
  for (const Leaf& leaf : leaves(tree)) {
    if (leaf.trainable == nullptr || !detail::path_matches(leaf.path, pattern)) continue;
    *leaf.trainable = !frozen;
    ++count;
  }
  return count;
}

/// The number of elements of all parameters.
template <typename Tree>
std::int64_t parameter_count(Tree& tree) {
  std::int64_t count = 0;
  for (const Leaf& leaf : leaves(tree)) count += leaf.kind == LeafKind::buffer ? 0 : leaf.tensor->size();
  return count;
}

/// Puts recorded updates (batch norm's running averages) in place.
CHAINRULE_API void apply_updates(const std::vector<Leaf>& leaves);
template <typename Tree>
void apply_updates(Tree& tree) {
  apply_updates(leaves(tree));
}

// ---------------------------------------------------------------------------------------------

namespace detail {
template <typename T>
struct is_vector : std::false_type {};
template <typename T>
struct is_vector<std::vector<T>> : std::true_type {};
template <typename T, std::size_t N>
struct is_vector<std::array<T, N>> : std::true_type {};
template <typename T>
struct is_map : std::false_type {};
template <typename T>
struct is_map<std::map<std::string, T>> : std::true_type {};
template <typename T>
concept TupleLike = requires {
  std::tuple_size<T>::value;
}
&&!is_vector<T>::value;
}  // namespace detail

template <typename T>
void Visitor::visit_part(T& part) {
  if constexpr (std::derived_from<T, Parameter>) {
    leaf(part, part.trainable ? LeafKind::parameter : LeafKind::frozen, &part.trainable);
    part.mark();  // the visitor may have assigned to it
  } else if constexpr (std::derived_from<T, Tensor>) {
    leaf(part, LeafKind::parameter, nullptr);
  } else if constexpr (Visitable<T> || NamedType<T>) {
    if constexpr (NamedType<T>) enter(T::type_name);
    if constexpr (Visitable<T>) part.visit(*this);
    if constexpr (NamedType<T>) leave();
  } else if constexpr (detail::is_vector<T>::value) {
    for (std::size_t i = 0; i < part.size(); ++i) (*this)(static_cast<std::int64_t>(i), part[i]);
  } else if constexpr (detail::is_map<T>::value) {
    for (auto& [name, child] : part) (*this)(std::string_view(name), child);
  } else if constexpr (detail::TupleLike<T>) {
    std::apply(
        [&](auto&... children) {
          std::int64_t i = 0;
          ((*this)(i++, children), ...);
        },
        part);
  } else if constexpr (std::same_as<T, std::string> || std::same_as<T, Dims> || std::same_as<T, bool> ||
                       std::same_as<T, double> || std::same_as<T, std::int64_t>) {
    option(part);
  } else if constexpr (std::is_enum_v<T> || std::integral<T>) {
    auto value = static_cast<std::int64_t>(part);
    option(value);
    part = static_cast<T>(value);
  } else if constexpr (std::floating_point<T>) {
    auto value = static_cast<double>(part);
    option(value);
    part = static_cast<T>(value);
  } else if constexpr (requires {
                         part.has_value();
                         *part;
                       }) {
    if (part.has_value()) visit_part(*part);
  } else {
    static_assert(Visitable<T>, "not a tree: give the type a member `void visit(chainrule::Visitor& v)`");
  }
}

}  // namespace chainrule
