// A profile on the terminal.

#include <algorithm>
#include <ostream>

#include <fmt/format.h>

#include "insight/explain_text.hpp"
#include "insight/profile_parts.hpp"
#include "insight/units.hpp"

namespace chainrule {
namespace {

using insight::columns;
using insight::padded;
using insight::right_aligned;
using insight::scaled;
using insight::short_duration;

constexpr std::size_t most_kernels = 14;
constexpr std::size_t widest_cell = 46;

/// Text in columns: the first ones to the left, numbers to the right.
class Table {
 public:
  Table(std::vector<std::string> header, std::vector<bool> left) : left_(std::move(left)) {
    add(std::move(header));
  }
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const {
    std::vector<std::size_t> widths(left_.size(), 0);
    for (const auto& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(row[i]));
    }
    std::string text;
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t i = 0; i < row.size(); ++i) {
        if (i > 0) line += "  ";
        line += left_[i] ? padded(row[i], widths[i]) : right_aligned(row[i], widths[i]);
      }
      line.erase(line.find_last_not_of(' ') + 1);
      text += line + "\n";
    }
    return text;
  }

 private:
  std::vector<bool> left_;
  std::vector<std::vector<std::string>> rows_;
};

std::string percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

// The unit stands in the head.
std::string rate(double amount, const ProfileRow& row) {
  return amount > 0 && row.seconds > 0 ? scaled(amount / row.seconds, "") : "";
}

std::string shortened(const std::string& text) {
  if (columns(text) <= widest_cell) return text;
  std::string result;
  for (const char c : text) {
    if (columns(result) == widest_cell - 1 && (static_cast<unsigned char>(c) & 0xc0U) != 0x80U) break;
    result += c;
  }
  return result + "…";
}

std::vector<std::string> numbers_of(const ProfileRow& row) {
  const bool outside = row.pass == ProfilePass::outside;
  return {short_duration(row.seconds), percent(row.share),
          rate(row.flops, row),        rate(row.bytes, row),
          outside ? "" : row.bound,    outside ? "" : fmt::format("{:.0f} %", 100 * row.of_limit())};
}

std::string kernel_table(const Profile& p) {
  Table table({"kernel", "on", "layer", "pass", "time", "share", "FLOP/s", "B/s", "bound by", "of limit"},
              {true, true, true, true, false, false, false, false, true, false});
  ProfileRow rest;
  std::size_t hidden = 0;
  const auto add = [&](std::vector<std::string> cells, const ProfileRow& row) {
    for (std::string& number : numbers_of(row)) cells.push_back(std::move(number));
    table.add(std::move(cells));
  };
  for (std::size_t i = 0; i < p.kernels.size(); ++i) {
    const ProfileRow& row = p.kernels[i];
    const bool outside = row.pass == ProfilePass::outside;
    if (i >= most_kernels && !outside) {
      ++hidden;
      rest.seconds += row.seconds;
      rest.share += row.share;
      rest.flops += row.flops;
      rest.bytes += row.bytes;
      rest.floor += row.floor;
      continue;
    }
    if (outside && hidden > 0) add({fmt::format("{} others", hidden), "", "", ""}, rest);
    const std::string name = row.calls > 1.5 ? fmt::format("{} ×{:.0f}", row.name, row.calls) : row.name;
    add({shortened(name), shortened(row.what), shortened(row.region), outside ? "" : to_string(row.pass)},
        row);
  }
  return table.text();
}

std::string layer_table(const Profile& p) {
  Table table({"layer", "pass", "time", "share", "FLOP/s", "B/s", "bound by", "of limit"},
              {true, true, false, false, false, false, true, false});
  std::string last;
  for (const ProfileRow& row : p.layers) {
    const bool outside = row.pass == ProfilePass::outside;
    std::vector<std::string> cells = {row.name == last ? "" : shortened(row.name),
                                      outside ? "" : to_string(row.pass)};
    for (std::string& number : numbers_of(row)) cells.push_back(std::move(number));
    table.add(std::move(cells));
    last = row.name;
  }
  return table.text();
}

std::string limits_line(const MachineLimits& limits) {
  std::string text =
      fmt::format("{} {}, {}: {} float32", limits.threads, limits.threads == 1 ? "thread" : "threads",
                  limits.instruction_set, scaled(limits.float32_flops, "FLOP/s"));
  for (const MachineLimits::Level& level : limits.levels)
    text += fmt::format(" · {} {}", level.name, scaled(level.update_rate, "B/s"));
  return text + "\n";
}

// Lines of at most 100 columns, with an indent.
std::string wrapped(const std::string& text, std::size_t indent) {
  constexpr std::size_t width = 100;
  std::string result(indent, ' ');
  std::size_t column = indent;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (column > indent && column + 1 + columns(word) > width) {
      result += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      result += ' ';
      ++column;
    }
    result += word;
    column += columns(word);
    at = end + 1;
  }
  return result + "\n";
}

std::string changes_text(const Profile& p) {
  if (p.changes.empty())
    return "Nothing found that would save half a per cent: what the step does takes what it takes here.\n";
  std::string text = p.changes.size() == 1 ? "The change worth most" : "The changes worth most";
  text += " (estimates from the limits above):\n";
  for (std::size_t i = 0; i < p.changes.size(); ++i) {
    const ProfileChange& change = p.changes[i];
    text += fmt::format("{}. {}: about {:.1f} % less time\n", i + 1, change.change, 100 * change.gain);
    text += wrapped(change.why, 3);
  }
  return text;
}

}  // namespace

std::string to_text(const Profile& p) {
  std::size_t kernels = 0;
  double sum = 0;
  for (const ProfileRow& row : p.kernels) {
    sum += row.seconds;
    if (row.pass != ProfilePass::outside) ++kernels;
  }
  std::string text = p.title;
  if (p.batch_size > 0) text += fmt::format(", batch {}", p.batch_size);
  text += "\n" + limits_line(p.limits);
  text += fmt::format(
      "{} a step; {} with the profile on ({:+.1f} %), which the {} kernels and what is outside of "
      "them sum to; {} steps looked at\n",
      short_duration(p.step_seconds), short_duration(sum), 100 * p.overhead(), kernels, p.steps);
  if (p.batch_size > 0 && p.batch_seconds > 0)
    text += fmt::format(
        "making a batch takes {}, {}\n", short_duration(p.batch_seconds),
        p.batches_ahead ? "on the loader's thread" : "between steps, whose time does not include it");
  return text + "\n" + kernel_table(p) + "\n" + layer_table(p) + "\n" + changes_text(p);
}

std::ostream& operator<<(std::ostream& out, const Profile& profile) { return out << to_text(profile); }

}  // namespace chainrule
