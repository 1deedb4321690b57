#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <utility>

#include <chainrule/dtype.hpp>
#include <chainrule/export.hpp>
#include <chainrule/shape.hpp>

namespace chainrule {

/// A counted reference to a block of memory. Copying a Buffer shares the block.
///
/// Blocks that Chainrule allocates are 64-byte aligned and come from a cache, so that a loop which
/// makes and drops tensors of the same sizes settles without calling the system's allocator.
/// Borrowed blocks belong to the caller, who is told through `release` when the last reference is
/// gone; they are never written to.
class CHAINRULE_API Buffer {
 public:
  Buffer() = default;
  /// Uninitialized memory. Throws std::bad_alloc where the system has none left.
  static Buffer allocate(std::size_t bytes);
  /// Memory that somebody else owns. `release` may be empty.
  static Buffer borrow(const void* data, std::size_t bytes, std::function<void()> release = {});

  Buffer(const Buffer& other) noexcept : block_(other.block_) {
    if (block_) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Buffer(Buffer&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Buffer() {
    if (block_ && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) free_block(block_);
  }

  explicit operator bool() const { return block_ != nullptr; }
  void* data() const { return block_ ? block_->data : nullptr; }
  std::size_t bytes() const { return block_ ? block_->bytes : 0; }
  /// True when nobody else holds the block and it may be overwritten.
  bool writable_in_place() const {
    return block_ && !block_->borrowed && block_->references.load(std::memory_order_acquire) == 1;
  }

 private:
  struct Block {
    std::atomic<int> references{1};
    void* data = nullptr;
    std::size_t bytes = 0;
    std::size_t capacity = 0;
    bool borrowed = false;
    std::function<void()> release;
  };
  explicit Buffer(Block* block) : block_(block) {}
  static void free_block(Block* block) noexcept;
  friend class BufferCache;

  Block* block_ = nullptr;
};

/// A dense row-major array in host memory: what file formats read and write, and what a Tensor's
/// value can be taken from and given as. No arithmetic.
struct HostArray {
  DType dtype = DType::float32;
  Shape shape;
  Buffer buffer;

  /// Uninitialized. Throws ShapeError where the shape has no valid element count.
  static HostArray uninitialized(DType dtype, const Shape& shape) {
    return {dtype, shape,
            Buffer::allocate(static_cast<std::size_t>(element_count(shape)) * dtype_size(dtype))};
  }
  std::int64_t size() const { return element_count(shape); }
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * dtype_size(dtype); }
  /// The elements as `T`, which must be the array's own dtype (unchecked).
  template <Element T>
  T* data() const {
    return static_cast<T*>(buffer.data());
  }
};

}  // namespace chainrule
