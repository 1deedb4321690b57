#pragma once

#include <cstdint>

#include <chainrule/threads.hpp>

namespace chainrule::train {

/// The thread count of a configuration, for the time of a run; 0 leaves it as it is.
class ThreadScope {
 public:
  explicit ThreadScope(std::int64_t threads) : before_(thread_count()) {
    if (threads > 0) set_thread_count(static_cast<int>(threads));
  }
  ~ThreadScope() { set_thread_count(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

}  // namespace chainrule::train
