// Tensors as text, in NumPy's manner: nested brackets, columns aligned, long axes shortened.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ostream>

#include <chainrule/tensor.hpp>

#include "graph/node.hpp"
#include "graph/scalar.hpp"
#include "tensor/digits.hpp"

namespace chainrule {
namespace {

constexpr std::int64_t edge_items = 3;      // shown at each end of a shortened axis
constexpr std::int64_t whole_below = 1000;  // elements up to which nothing is left out
constexpr int digits = 4;
constexpr std::size_t line_width = 100;

// How the numbers of one tensor are written: the same way for all of them.
struct Format {
  bool integral = true;  // floats that are all whole print as "2."
  bool scientific = false;
  int decimals = 0;
  std::size_t width = 0;
};

std::string text_of(double value, DType dtype, const Format& format) {
  if (dtype == DType::boolean) return value != 0 ? "true" : "false";
  if (!is_floating(dtype)) {
    return fixed_digits(value, 0);
  } else if (!std::isfinite(value)) {
    return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
  } else if (format.scientific) {
    return scientific_digits(value, digits);
  } else if (format.integral) {
    return fixed_digits(value, 0) + '.';
  }
  return fixed_digits(value, format.decimals);
}

class Printer {
 public:
  explicit Printer(const Tensor& x)
      : array_(x.to_host()), steps_(contiguous_strides(array_.shape)), shortened_(x.size() > whole_below) {
    visit(0, 0, [&](std::int64_t index) { shown_.push_back(index); });
    choose_format();
  }

  std::string text() {
    std::string out;
    write(out, 0, 0);
    return out;
  }

 private:
  const std::byte* address(std::int64_t index) const {
    const auto size = static_cast<std::int64_t>(dtype_size(array_.dtype));
    return static_cast<const std::byte*>(array_.buffer.data()) + index * size;
  }
  std::string element_text(std::int64_t index) const {
    if (array_.dtype == DType::int64) {  // past 2^53 a double would lose digits
      std::int64_t value = 0;
      std::memcpy(&value, address(index), sizeof value);
      return std::to_string(value);
    }
    return text_of(read_scalar(address(index), array_.dtype), array_.dtype, format_);
  }

  bool is_shortened(int axis) const { return shortened_ && array_.shape[axis] > 2 * edge_items; }

  // Calls f with the index of every element that is shown.
  template <typename F>
  void visit(int axis, std::int64_t offset, const F& f) {
    if (axis == array_.shape.size()) return f(offset);
    for (std::int64_t i = 0; i < array_.shape[axis]; ++i) {
      if (is_shortened(axis) && i == edge_items) i = array_.shape[axis] - edge_items;
      visit(axis + 1, offset + i * steps_[axis], f);
    }
  }

  void choose_format() {
    std::vector<double> values;
    for (const std::int64_t index : shown_) values.push_back(read_scalar(address(index), array_.dtype));
    double largest = 0;
    double smallest = INFINITY;
    for (const double value : values) {
      if (!std::isfinite(value)) continue;
      format_.integral = format_.integral && value == std::trunc(value);
      largest = std::max(largest, std::fabs(value));
      if (value != 0) smallest = std::min(smallest, std::fabs(value));
    }
    format_.scientific =
        largest >= 1e8 || (!format_.integral && (smallest < 1e-4 || largest / smallest > 1e5));
    for (format_.decimals = 1; format_.decimals < digits && !format_.integral; ++format_.decimals) {
      const double scale = std::pow(10, format_.decimals);
      const auto is_short = [&](double v) {
        return !std::isfinite(v) || std::fabs(v * scale - std::round(v * scale)) < 1e-3 * std::fabs(v);
      };
      if (std::all_of(values.begin(), values.end(), is_short)) break;
    }
    for (const std::int64_t index : shown_)
      format_.width = std::max(format_.width, element_text(index).size());
  }

  void write(std::string& out, int axis, std::int64_t offset) {
    if (axis == array_.shape.size()) {
      const std::string text = element_text(offset);
      if (array_.shape.size() > 0) out.append(format_.width - text.size(), ' ');
      out += text;
      return;
    }
    out += '[';
    const bool innermost = axis + 1 == array_.shape.size();
    for (std::int64_t i = 0; i < array_.shape[axis]; ++i) {
      if (i > 0) separate(out, axis, innermost);
      if (is_shortened(axis) && i == edge_items) {
        out += "...";
        separate(out, axis, innermost);
        i = array_.shape[axis] - edge_items;
      }
      write(out, axis + 1, offset + i * steps_[axis]);
    }
    out += ']';
  }

  void separate(std::string& out, int axis, bool innermost) {
    out += ',';
    const std::size_t line = out.size() - (out.rfind('\n') == std::string::npos ? 0 : out.rfind('\n') + 1);
    if (innermost && line + format_.width + 2 < line_width) {
      out += ' ';
      return;
    }
    const int blank_lines = innermost ? 1 : array_.shape.size() - axis - 1;
    out.append(static_cast<std::size_t>(blank_lines), '\n');
    out.append(static_cast<std::size_t>(axis + 1), ' ');
  }

  HostArray array_;
  Strides steps_;
  bool shortened_;
  std::vector<std::int64_t> shown_;
  Format format_;
};

}  // namespace

std::string to_string(const Tensor& x) {
  if (!x.defined()) return "undefined";
  std::string text = Printer(x).text();
  const bool plain = x.dtype() == DType::float32 || x.dtype() == DType::boolean;
  return plain ? text : text + " " + std::string(dtype_name(x.dtype()));
}

std::ostream& operator<<(std::ostream& out, const Tensor& x) { return out << to_string(x); }

}  // namespace chainrule
