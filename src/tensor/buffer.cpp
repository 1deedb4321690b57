#include <chainrule/buffer.hpp>

#include <sys/mman.h>

#include <array>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "tensor/pages.hpp"

namespace chainrule {
namespace {

constexpr std::size_t alignment = 64;
// Larger blocks go straight back to the system: keeping them would hold memory that a user sees.
constexpr std::size_t largest_cached = std::size_t{64} << 20;
constexpr std::size_t cached_per_size = 16;

// Sizes are rounded up to one of four steps per power of two, so that a freed block finds a next user.
std::size_t rounded_capacity(std::size_t bytes) {
  if (bytes <= alignment) return alignment;
  std::size_t power = alignment;
  while (power * 2 <= bytes) power *= 2;
  const std::size_t step = power / 4 < alignment ? alignment : power / 4;
  return (bytes + step - 1) / step * step;
}

std::size_t size_class(std::size_t capacity) {
  std::size_t power = alignment;
  std::size_t index = 0;
  while (power * 2 <= capacity) {
    power *= 2;
    index += 4;
  }
  return index + (power >= 4 * alignment ? (capacity - power) / (power / 4) : (capacity - power) / alignment);
}

// Null where the system has no memory left.
void* allocate_memory(std::size_t capacity) {
  if (capacity < huge_page) return std::aligned_alloc(alignment, capacity);
  void* data = nullptr;
  if (posix_memalign(&data, huge_page, capacity) != 0) return nullptr;
  // A wish: a system that has no huge pages, or none left, says no, and nothing else changes. The part
  // behind the last whole page stays as it is.
  madvise(data, capacity / huge_page * huge_page, MADV_HUGEPAGE);
  return data;
}

}  // namespace

/// Blocks, with their memory, that wait for their next user. One per process, guarded by a mutex:
/// blocks are large compared with the cost of the lock.
class BufferCache {
 public:
  using Block = Buffer::Block;

  // Leaked on purpose: buffers in static objects may be freed after any destructor here would run.
  static BufferCache& instance() {
    static auto* cache = new BufferCache;
    return *cache;
  }

  Block* take(std::size_t capacity) {
    if (capacity > largest_cached) return nullptr;
    const std::lock_guard lock(mutex_);
    auto& blocks = free_[size_class(capacity)];
    if (blocks.empty()) return nullptr;
    Block* block = blocks.back();
    blocks.pop_back();
    return block;
  }

  bool give(Block* block) {
    if (block->borrowed || block->capacity > largest_cached) return false;
    const std::lock_guard lock(mutex_);
    auto& blocks = free_[size_class(block->capacity)];
    if (blocks.size() >= cached_per_size) return false;
    blocks.push_back(block);
    return true;
  }

 private:
  BufferCache() {
    for (auto& blocks : free_) blocks.reserve(cached_per_size);
  }

  std::mutex mutex_;
  std::array<std::vector<Block*>, 96> free_;
};

Buffer Buffer::allocate(std::size_t bytes) {
  const std::size_t capacity = rounded_capacity(bytes);
  Block* block = BufferCache::instance().take(capacity);
  if (block == nullptr) {
    void* data = allocate_memory(capacity);
    if (data == nullptr) throw std::bad_alloc();
    block = new Block;
    block->data = data;
    block->capacity = capacity;
  }
  block->references.store(1, std::memory_order_relaxed);
  block->bytes = bytes;
  return Buffer(block);
}

Buffer Buffer::borrow(const void* data, std::size_t bytes, std::function<void()> release) {
  auto* block = new Block;
  block->data = const_cast<void*>(data);  // never written: writable_in_place() is false for borrowed blocks
  block->bytes = bytes;
  block->borrowed = true;
  block->release = std::move(release);
  return Buffer(block);
}

void Buffer::free_block(Block* block) noexcept {
  if (BufferCache::instance().give(block)) return;
  if (block->borrowed) {
    if (block->release) block->release();
  } else {
    std::free(block->data);
  }
  delete block;
}

}  // namespace chainrule
