#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace chainrule::kernels::checks {

/// Elements that end where a page ends behind which there is no memory: one step too far is a fault.
template <typename T>
class PageEnd {
 public:
  explicit PageEnd(std::int64_t size) : size_(static_cast<std::size_t>(size)) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t used = (size_ * sizeof(T) + page - 1) / page * page;
    bytes_ = used + page;
    pages_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages_ == MAP_FAILED) throw std::bad_alloc();
    auto* const end = static_cast<std::byte*>(pages_) + used;
    if (mprotect(end, page, PROT_NONE) != 0) throw std::bad_alloc();
    data_ = reinterpret_cast<T*>(end) - size_;
  }
  template <typename Values>
  explicit PageEnd(const Values& values) : PageEnd(static_cast<std::int64_t>(values.size())) {
    for (std::size_t i = 0; i < size_; ++i) data_[i] = values[i];
  }
  ~PageEnd() { munmap(pages_, bytes_); }
  PageEnd(const PageEnd&) = delete;
  PageEnd& operator=(const PageEnd&) = delete;

  T* data() { return data_; }
  T& operator[](std::size_t i) { return data_[i]; }

 private:
  std::size_t size_;
  std::size_t bytes_ = 0;
  void* pages_ = nullptr;
  T* data_ = nullptr;
};

}  // namespace chainrule::kernels::checks
