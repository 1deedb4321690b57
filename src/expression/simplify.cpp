// Rewrites that keep the value in exact arithmetic wherever it is defined. Two normal forms do the work: a
// sum is a list of terms with coefficients, a product a coefficient and bases with whole exponents.
// Collecting equal terms and equal bases in them gives x + x = 2 x, y y = y², a (1/b) = a/b, −(−x) = x. x/x
// stays: it is not 1 at 0.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "expression/terms.hpp"
#include "ops/declarations.hpp"

namespace chainrule::expression {
namespace {

// Collecting takes quadratic time; nobody reads a longer term anyway.
constexpr std::int64_t longest_rewritten = 400;

struct Factor {
  TermId base;
  int exponent;  // below zero: under the fraction line
};
struct Product {
  double coefficient = 1;
  double divisor = 1;  // apart, since 1/3 is no short number
  std::vector<Factor> factors;
};
struct Summand {
  double coefficient;
  TermId term;  // the number 1 for the constant
};

bool is_whole_power(const Terms& terms, const Term& term) {
  if (term.op != &ops::pow || !terms.is_number(term.arguments[1])) return false;
  const double exponent = terms[term.arguments[1]].number;
  return exponent == std::floor(exponent) && exponent >= 1 && exponent <= 64;
}

void multiply(Product& product, Factor factor) {
  for (Factor& known : product.factors) {
    if (known.base != factor.base || (known.exponent > 0) != (factor.exponent > 0)) continue;
    known.exponent += factor.exponent;
    return;
  }
  product.factors.push_back(factor);
}

// product *= termᵉ
void multiply(Terms& terms, Product& product, TermId id, int exponent) {
  const Term term = terms[id];
  if (term.kind == TermKind::number && (term.number != 0 || exponent > 0)) {
    (exponent > 0 ? product.coefficient : product.divisor) *= std::pow(term.number, std::abs(exponent));
  } else if (term.op == &ops::neg) {
    product.coefficient *= exponent % 2 == 0 ? 1 : -1;
    multiply(terms, product, term.arguments[0], exponent);
  } else if (term.op == &ops::mul || term.op == &ops::div) {
    multiply(terms, product, term.arguments[0], exponent);
    multiply(terms, product, term.arguments[1], term.op == &ops::mul ? exponent : -exponent);
  } else if (term.op == &ops::reciprocal) {
    multiply(terms, product, term.arguments[0], -exponent);
  } else if (term.op == &ops::square) {
    multiply(terms, product, term.arguments[0], 2 * exponent);
  } else if (is_whole_power(terms, term)) {
    multiply(terms, product, term.arguments[0], static_cast<int>(terms[term.arguments[1]].number) * exponent);
  } else if (term.op == &ops::rsqrt) {
    multiply(product, {terms.apply(ops::sqrt, {term.arguments[0]}), -exponent});
  } else {
    multiply(product, {id, exponent});
  }
}

// Symbols first, then calls, then sums in the order in which they came to be: y (1 - y) (1 - 2 y).
int factor_class(const Terms& terms, TermId id) {
  const Term& term = terms[id];
  if (term.kind != TermKind::apply) return 0;
  return term.op == &ops::add || term.op == &ops::sub ? 2 : 1;
}

std::vector<Summand> summands_of(Terms& terms, TermId id, double coefficient);
TermId build_sum(Terms& terms, std::vector<Summand> sum);

TermId build_chain(Terms& terms, double coefficient, const std::vector<Factor>& factors) {
  TermId chain = -1;
  if (coefficient != 1 || factors.empty()) chain = terms.number(coefficient);
  for (const Factor& factor : factors) {
    const int exponent = std::abs(factor.exponent);
    const TermId power =
        exponent == 1 ? factor.base : terms.apply(ops::pow, {factor.base, terms.number(exponent)});
    chain = chain < 0 ? power : terms.apply(ops::mul, {chain, power});
  }
  return chain;
}

bool is_whole(double value) { return value == std::floor(value) && std::abs(value) < 1e15; }

// √2 √2 becomes 2. Of a variable it would invent a value below 0.
void square_roots(const Terms& terms, Product& product) {
  for (Factor& factor : product.factors) {
    if (!terms.is(factor.base, ops::sqrt) || std::abs(factor.exponent) < 2) continue;
    const TermId inside = terms[factor.base].arguments[0];
    if (!terms.is_number(inside)) continue;
    const int pairs = std::abs(factor.exponent) / 2;
    (factor.exponent > 0 ? product.coefficient : product.divisor) *= std::pow(terms[inside].number, pairs);
    factor.exponent %= 2;
  }
  std::erase_if(product.factors, [](const Factor& factor) { return factor.exponent == 0; });
}

// 6/27 becomes 2/9, and 6/3 becomes 2.
void reduce_fraction(Product& product) {
  if (!is_whole(product.coefficient) || !is_whole(product.divisor) || product.divisor == 0) return;
  const auto common = static_cast<double>(
      std::gcd(static_cast<std::int64_t>(product.coefficient), static_cast<std::int64_t>(product.divisor)));
  const double sign = product.divisor < 0 ? -1 : 1;
  product.coefficient *= sign / common;
  product.divisor *= sign / common;
}

// y/y³ becomes 1/y²: neither has a value at 0. With no power left below, the rewrite would invent one.
void cancel(Product& product) {
  for (Factor& above : product.factors) {
    for (Factor& below : product.factors) {
      if (above.base != below.base || above.exponent <= 0 || below.exponent >= 0 ||
          above.exponent + below.exponent >= 0)
        continue;
      below.exponent += std::exchange(above.exponent, 0);
    }
  }
  std::erase_if(product.factors, [](const Factor& factor) { return factor.exponent == 0; });
}

TermId build_product(Terms& terms, Product product) {
  if (product.coefficient == 0) return terms.number(0);
  square_roots(terms, product);
  reduce_fraction(product);
  cancel(product);
  std::stable_sort(product.factors.begin(), product.factors.end(), [&](const Factor& a, const Factor& b) {
    const int class_a = factor_class(terms, a.base);
    const int class_b = factor_class(terms, b.base);
    return class_a != class_b ? class_a < class_b : class_a == 2 && a.base < b.base;
  });
  const bool lone = product.factors.size() == 1 && product.factors[0].exponent == 1;
  if (lone && product.coefficient == -1 && product.divisor == 1 &&
      factor_class(terms, product.factors[0].base) == 2) {
    return build_sum(terms, summands_of(terms, product.factors[0].base, -1));
  }
  std::vector<Factor> above;
  std::vector<Factor> below;
  for (const Factor& factor : product.factors) (factor.exponent > 0 ? above : below).push_back(factor);
  TermId result = build_chain(terms, std::abs(product.coefficient), above);
  if (!below.empty() || product.divisor != 1) {
    result = terms.apply(ops::div, {result, build_chain(terms, product.divisor, below)});
  }
  return product.coefficient < 0 ? terms.apply(ops::neg, {result}) : result;
}

Product product_of(Terms& terms, TermId id) {
  Product product;
  multiply(terms, product, id, 1);
  return product;
}

void add_summand(std::vector<Summand>& sum, Summand summand) {
  for (Summand& known : sum) {
    if (known.term != summand.term) continue;
    known.coefficient += summand.coefficient;
    return;
  }
  sum.push_back(summand);
}

std::vector<Summand> summands_of(Terms& terms, TermId id, double coefficient) {
  const Term term = terms[id];
  if (term.op == &ops::add || term.op == &ops::sub) {
    std::vector<Summand> sum = summands_of(terms, term.arguments[0], coefficient);
    for (const Summand& right :
         summands_of(terms, term.arguments[1], term.op == &ops::add ? coefficient : -coefficient)) {
      add_summand(sum, right);
    }
    return sum;
  }
  Product product = product_of(terms, id);
  const double scale = coefficient * std::exchange(product.coefficient, 1);
  return {{scale, build_product(terms, std::move(product))}};
}

TermId scaled(Terms& terms, double coefficient, TermId term) {
  Product product = product_of(terms, term);
  product.coefficient *= coefficient;
  return build_product(terms, std::move(product));
}

TermId build_sum(Terms& terms, std::vector<Summand> sum) {
  std::erase_if(sum, [](const Summand& summand) { return summand.coefficient == 0; });
  if (sum.empty()) return terms.number(0);
  // A sum begins with what is added, not with what is taken away.
  const auto positive =
      std::find_if(sum.begin(), sum.end(), [](const Summand& s) { return s.coefficient > 0; });
  if (positive != sum.end()) std::rotate(sum.begin(), positive, positive + 1);
  TermId result = scaled(terms, sum[0].coefficient, sum[0].term);
  for (std::size_t i = 1; i < sum.size(); ++i) {
    const OpDef& op = sum[i].coefficient > 0 ? ops::add : ops::sub;
    result = terms.apply(op, {result, scaled(terms, std::abs(sum[i].coefficient), sum[i].term)});
  }
  return result;
}

bool is_product(const OpDef& op) {
  return &op == &ops::mul || &op == &ops::div || &op == &ops::neg || &op == &ops::reciprocal ||
         &op == &ops::square || &op == &ops::rsqrt || &op == &ops::pow;
}

}  // namespace

TermId simplified(Terms& terms, const OpDef& op, const std::vector<TermId>& arguments,
                  const std::string& attributes, int output) {
  if (&op == &ops::where && arguments[1] == arguments[2]) return arguments[1];
  if (&op == &ops::pow && terms.is_number(arguments[1], 0)) return terms.number(1);
  const TermId plain = terms.apply(op, arguments, attributes, output);
  if (terms.written_size(plain) > longest_rewritten) return plain;
  if (&op == &ops::add || &op == &ops::sub) return build_sum(terms, summands_of(terms, plain, 1));
  if (is_product(op)) return build_product(terms, product_of(terms, plain));
  return plain;
}

}  // namespace chainrule::expression
