// Products by oneDNN: bfloat16 on processors that have it, and float32 for comparison.
//
// oneDNN runs on one thread for each block of C; the blocks are spread over our own pool. Its own
// OpenMP threads spin between regions: beside a second busy process every region of theirs was seen to
// take 8 ms, where ours fall back to the time of one core.

#include <oneapi/dnnl/dnnl.hpp>

#include <array>
#include <optional>
#include <string>
#include <vector>

#include <chainrule/buffer.hpp>
#include <chainrule/error.hpp>

#include "kernels/cpu/products_detail.hpp"
#include "kernels/parallel.hpp"

// libgomp's, which oneDNN brings along: Clang's <omp.h> would pull in a second runtime.
extern "C" void omp_set_num_threads(int);
extern "C" int omp_get_max_threads();

namespace chainrule::kernels {
namespace {

using dnnl::memory;

/// Keeps oneDNN on the calling thread, and the thread's OpenMP setting as it was. The setting belongs
/// to each thread, so that nobody else's changes.
class OneThread {
 public:
  OneThread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  ~OneThread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

/// One block of C: a primitive with memory objects and scratch memory of its own, so that blocks may
/// run at the same time.
struct Block {
  dnnl::matmul primitive;
  dnnl::stream stream;
  memory a, b, c, bias, scratchpad;
  Buffer scratch;
  std::int64_t offset_a = 0, offset_b = 0, offset_c = 0, offset_bias = 0;  // in elements
  ProductShape shape;
};

struct Descriptors {
  memory::desc a, b, c, bias;
};

memory::data_type data_type(DType dtype) {
  return dtype == DType::bfloat16 ? memory::data_type::bf16 : memory::data_type::f32;
}

Descriptors describe(const ProductShape& s) {
  const auto type = data_type(s.dtype);
  const auto matrix = [&](std::int64_t batch, std::int64_t rows, std::int64_t cols, bool transposed,
                          std::int64_t ld, std::int64_t stride) {
    // With one matrix the stride is never used, but oneDNN refuses one that would make it overlap.
    const std::int64_t outer = batch == 1 ? (transposed ? cols : rows) * ld : stride;
    const memory::dims strides = transposed ? memory::dims{outer, 1, ld} : memory::dims{outer, ld, 1};
    return memory::desc({batch, rows, cols}, type, strides);
  };
  return {matrix(s.stride_a == 0 ? 1 : s.batch, s.m, s.k, s.transpose_a, s.lda, s.stride_a),
          matrix(s.stride_b == 0 ? 1 : s.batch, s.k, s.n, s.transpose_b, s.ldb, s.stride_b),
          matrix(s.batch, s.m, s.n, false, s.ldc, s.stride_c),
          memory::desc({1, 1, s.n}, type, memory::dims{s.n, s.n, 1})};
}

dnnl::matmul::primitive_desc primitive_desc(const Descriptors& d, bool bias) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const auto desc = bias ? dnnl::matmul::desc(d.a, d.b, d.bias, d.c) : dnnl::matmul::desc(d.a, d.b, d.c);
  return {desc, attributes, cpu_engine()};
}

Block make_block(const ProductShape& shape, bool bias) {
  const Descriptors d = describe(shape);
  const auto desc = primitive_desc(d, bias);
  Block block;
  block.shape = shape;
  block.primitive = dnnl::matmul(desc);
  block.stream = dnnl::stream(cpu_engine());
  block.scratch = Buffer::allocate(desc.scratchpad_desc().get_size());
  block.a = memory(d.a, cpu_engine(), DNNL_MEMORY_NONE);
  block.b = memory(d.b, cpu_engine(), DNNL_MEMORY_NONE);
  block.c = memory(d.c, cpu_engine(), DNNL_MEMORY_NONE);
  if (bias) block.bias = memory(d.bias, cpu_engine(), DNNL_MEMORY_NONE);
  block.scratchpad = memory(desc.scratchpad_desc(), cpu_engine(), block.scratch.data());
  return block;
}

/// max(·, 0) that keeps NaN, which oneDNN's post-op does not promise.
template <typename T>
void relu(T* c, const ProductShape& s) {
  for (std::int64_t entry = 0; entry < s.batch; ++entry) {
    for (std::int64_t i = 0; i < s.m; ++i) {
      T* const row = c + entry * s.stride_c + i * s.ldc;
      for (std::int64_t j = 0; j < s.n; ++j) {
        if (static_cast<float>(row[j]) < 0.0F) row[j] = T(0.0F);
      }
    }
  }
}

class OneDnnProduct final : public Product {
 public:
  OneDnnProduct(const ProductShape& shape, int threads, Epilogue epilogue)
      : shape_(shape), epilogue_(epilogue), element_(dtype_size(shape.dtype)) {
    constexpr double flops_per_part = 5e5;
    const double share = product_flops(shape) / flops_per_part;
    const auto wanted = static_cast<std::int64_t>(std::clamp(share, 1.0, static_cast<double>(threads)));
    if (shape.batch > 1) {
      cut(std::min(wanted, shape.batch), shape.batch, 1, &ProductShape::batch);
    } else if (shape.n >= shape.m) {
      cut(std::min(wanted, (shape.n - 1) / 64 + 1), shape.n, 64, &ProductShape::n);
    } else {
      cut(std::min(wanted, (shape.m - 1) / 32 + 1), shape.m, 32, &ProductShape::m);
    }
  }

  void run(const void* a, const void* b, void* c, const void* bias) const override {
    parallel_for(static_cast<std::int64_t>(blocks_.size()), 1, [&](std::int64_t begin, std::int64_t end) {
      const OneThread guard;
      for (std::int64_t i = begin; i < end; ++i) {
        run_block(blocks_[static_cast<std::size_t>(i)], a, b, c, bias);
      }
    });
  }
  std::string_view implementation() const override { return "onednn"; }

 private:
  /// Cuts the batch, the rows or the columns, whichever `length` is a member for.
  void cut(std::int64_t blocks, std::int64_t length, std::int64_t unit, std::int64_t ProductShape::*member) {
    const OneThread guard;  // the primitives are made for one thread
    for (std::int64_t i = 0; i < blocks; ++i) {
      const std::int64_t from = block_border(length, unit, blocks, i);
      ProductShape part = shape_;
      part.*member = block_border(length, unit, blocks, i + 1) - from;
      Block block = make_block(part, epilogue_.bias);
      if (member == &ProductShape::batch) {
        block.offset_a = from * shape_.stride_a;
        block.offset_b = from * shape_.stride_b;
        block.offset_c = from * shape_.stride_c;
      } else if (member == &ProductShape::n) {
        block.offset_b = from * (shape_.transpose_b ? shape_.ldb : 1);
        block.offset_c = block.offset_bias = from;
      } else {
        block.offset_a = from * (shape_.transpose_a ? 1 : shape_.lda);
        block.offset_c = from * shape_.ldc;
      }
      blocks_.push_back(std::move(block));
    }
  }

  void* at(const void* base, std::int64_t offset) const {
    return const_cast<char*>(static_cast<const char*>(base)) + offset * static_cast<std::int64_t>(element_);
  }

  void run_block(const Block& block, const void* a, const void* b, void* c, const void* bias) const {
    std::array<dnnl_exec_arg_t, 5> arguments{{{DNNL_ARG_SRC, block.a.get()},
                                              {DNNL_ARG_WEIGHTS, block.b.get()},
                                              {DNNL_ARG_DST, block.c.get()},
                                              {DNNL_ARG_SCRATCHPAD, block.scratchpad.get()},
                                              {DNNL_ARG_BIAS, block.bias.get(true)}}};
    bool ok = dnnl_memory_set_data_handle(block.a.get(), at(a, block.offset_a)) == dnnl_success &&
              dnnl_memory_set_data_handle(block.b.get(), at(b, block.offset_b)) == dnnl_success &&
              dnnl_memory_set_data_handle(block.c.get(), at(c, block.offset_c)) == dnnl_success;
    if (epilogue_.bias) {
      ok = ok && dnnl_memory_set_data_handle(block.bias.get(), at(bias, block.offset_bias)) == dnnl_success;
    }
    const int count = epilogue_.bias ? 5 : 4;
    ok = ok && dnnl_primitive_execute(block.primitive.get(), block.stream.get(), count, arguments.data()) ==
                   dnnl_success;
    if (!ok) {
      throw StateError({.function = "matmul",
                        .argument = {},
                        .problem = "oneDNN could not run a product that it had prepared",
                        .got = {},
                        .wanted = {},
                        .hint = {},
                        .region = {}});
    }
    if (!epilogue_.relu) return;
    void* const out = at(c, block.offset_c);
    if (shape_.dtype == DType::bfloat16) {
      relu(static_cast<bfloat16*>(out), block.shape);
    } else {
      relu(static_cast<float*>(out), block.shape);
    }
  }

  ProductShape shape_;
  Epilogue epilogue_;
  std::size_t element_;
  std::vector<Block> blocks_;
};

}  // namespace

std::unique_ptr<Product> prepare_onednn(const ProductShape& shape, int threads, Epilogue epilogue) {
  if (shape.dtype != DType::float32 && shape.dtype != DType::bfloat16) return nullptr;
  // oneDNN wants at least one operand with as many matrices as C.
  if (shape.batch > 1 && shape.stride_a == 0 && shape.stride_b == 0) return nullptr;
  try {
    return std::make_unique<OneDnnProduct>(shape, threads, epilogue);
  } catch (const dnnl::error&) {
    return nullptr;  // not on this machine, or not with these strides
  }
}

bool onednn_has_native_bfloat16() {
  static const bool native = [] {
    try {
      const ProductShape shape = dense_product(DType::bfloat16, 1, 64, 64, 64);
      const std::string name = primitive_desc(describe(shape), false).impl_info_str();
      return name.find("bf16") != std::string::npos || name.find("amx") != std::string::npos;
    } catch (const dnnl::error&) {
      return false;
    }
  }();
  return native;
}

}  // namespace chainrule::kernels
