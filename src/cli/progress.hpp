#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>

#include <chainrule/train.hpp>

/// What the program shows while it trains, on stderr, and how Ctrl-C ends it.
namespace chainrule::cli {

/// Ctrl-C asks for a stop after the current step; a second one ends the program at once. One at a time.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  std::stop_token token() const { return source_.get_token(); }
  /// Passes a signal that arrived on to the token; call it often.
  void poll();

 private:
  std::stop_source source_;
};

/// A line that is redrawn on a terminal; one line per epoch elsewhere. Both say how long it will take yet.
class Progress {
 public:
  explicit Progress(bool quiet);
  void step(const train::StepEvent& event);
  void epoch(const train::EpochRecord& record, std::int64_t epochs);

 private:
  using Clock = std::chrono::steady_clock;
  /// "  left 4 s", once it can be told.
  std::string left() const;
  bool quiet_;
  bool terminal_;
  bool color_;
  Clock::time_point drawn_;
  Clock::time_point start_;
  std::int64_t first_step_ = 0;  // of this process: a resumed run begins in the middle
  std::int64_t step_ = 0;
  std::int64_t steps_ = 0;
};

void note(const std::string& line);

}  // namespace chainrule::cli
