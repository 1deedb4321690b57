#include "kernels/parallel.hpp"

namespace chainrule {

void parallel_for(std::int64_t n, std::int64_t, FunctionRef<void(std::int64_t, std::int64_t)> body) {
  if (n > 0) body(0, n);
}
int thread_count() { return 1; }
void set_thread_count(int) {}

}  // namespace chainrule
