#include "cli/progress.hpp"

#include <chainrule/text.hpp>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include <unistd.h>

#include <fmt/format.h>

namespace chainrule::cli {
namespace {

volatile std::sig_atomic_t interrupted = 0;
void on_interrupt(int) { interrupted = 1; }

std::string bar(double share) {
  constexpr int width = 20;
  const int full = static_cast<int>(share * width);
  std::string text;
  for (int i = 0; i < width; ++i) text += i < full ? "█" : "·";
  return text;
}

std::string rate(double per_second) {
  return std::abs(per_second) < 1e15 ? grouped(std::llround(per_second)) : fmt::format("{:.3g}", per_second);
}

}  // namespace

InterruptScope::InterruptScope() {
  interrupted = 0;
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
}
InterruptScope::~InterruptScope() { std::signal(SIGINT, SIG_DFL); }
void InterruptScope::poll() {
  if (interrupted != 0) source_.request_stop();
}

Progress::Progress(bool quiet)
    : quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0), color_(std::getenv("NO_COLOR") == nullptr) {}

std::string Progress::left() const {
  const std::int64_t done = step_ - first_step_;
  if (done <= 0 || step_ >= steps_) return {};
  const double passed = std::chrono::duration<double>(Clock::now() - start_).count();
  const double seconds = passed / static_cast<double>(done) * static_cast<double>(steps_ - step_);
  if (seconds < 100) return fmt::format("  left {:.0f} s", seconds);
  if (seconds < 6000) return fmt::format("  left {:.0f} min", seconds / 60);
  return fmt::format("  left {:.1f} h", seconds / 3600);
}

void Progress::step(const train::StepEvent& event) {
  const auto now = Clock::now();
  if (steps_ == 0) {
    start_ = now;
    first_step_ = event.step;
  }
  step_ = event.step;
  steps_ = event.steps;
  if (quiet_ || !terminal_) return;
  if (now - drawn_ < std::chrono::milliseconds(80)) return;
  drawn_ = now;
  const double share = static_cast<double>(event.batch) / static_cast<double>(event.batches);
  const std::string shown = color_ ? "\033[36m" + bar(share) + "\033[0m" : bar(share);
  const std::string line =
      fmt::format("\r\033[Kepoch {}/{} {} loss {:.4f}  {} ex/s{}", event.epoch, event.epochs, shown,
                  event.mean_loss, rate(event.examples_per_second), left());
  std::fputs(line.c_str(), stderr);
}

void Progress::epoch(const train::EpochRecord& record, std::int64_t epochs) {
  if (quiet_) return;
  std::string line = fmt::format("epoch {}/{}  loss {:.4f}", record.epoch, epochs, record.loss);
  if (record.validation_loss == record.validation_loss)
    line += fmt::format("  val {:.4f}", record.validation_loss);
  for (const auto& [name, value] : record.validation_metrics) line += fmt::format("  {} {:.4f}", name, value);
  line += fmt::format("  {} ex/s  {:.1f} s{}", rate(record.examples_per_second), record.seconds, left());
  if (terminal_) std::fputs("\r\033[K", stderr);
  note(line);
}

void note(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

}  // namespace chainrule::cli
