#include "kernels/cpu/tiles.hpp"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "kernels/cpu/lanes.hpp"

// GCC 12 sees uninitialized values in its own intrinsics (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

// Each function is compiled for the processors that may run it, whatever the rest of the file is compiled
// for.
#define CHAINRULE_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define CHAINRULE_TILES __attribute__((target("amx-tile,amx-bf16,prfchw")))

namespace chainrule::kernels::tiles {
namespace {

constexpr int tile_bytes = 64;  // of each row
constexpr std::int64_t half_rows = 16;
constexpr std::int64_t half_elements = half_rows * step;
constexpr std::int64_t quarter_sums = half_rows * half_rows;

struct alignas(64) Configuration {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

bool ask() {
  constexpr unsigned amx_bfloat16 = 1U << 22, amx_tiles = 1U << 24;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  if ((edx & amx_bfloat16) == 0 || (edx & amx_tiles) == 0) return false;
  // What packs and rounds; every processor with tiles has it, but a virtual one may hide it.
  if (__builtin_cpu_supports("avx512f") == 0 || __builtin_cpu_supports("avx512bw") == 0 ||
      __builtin_cpu_supports("avx512dq") == 0 || __builtin_cpu_supports("avx512vl") == 0) {
    return false;
  }
  constexpr int request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int tile_data = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

constexpr __mmask32 second_of_pair = 0xaaaaaaaa;

/// The first `count` of 32.
inline __mmask32 first(std::int64_t count) {
  if (count >= 32) return ~__mmask32{0};
  return count <= 0 ? __mmask32{0} : (__mmask32{1} << count) - 1;
}

/// Sixteen rows of sixteen 32-bit values, transposed in place.
CHAINRULE_AVX512 inline void transpose(__m512i (&row)[16]) {
  __m512i other[16];
  for (int i = 0; i < 16; i += 2) {
    other[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    other[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; ++j) {
      row[i + 2 * j] = _mm512_unpacklo_epi64(other[i + j], other[i + j + 2]);
      row[i + 2 * j + 1] = _mm512_unpackhi_epi64(other[i + j], other[i + j + 2]);
    }
  }
  // Row i + j now holds column j of each quarter of four columns, for the rows i to i + 3.
  for (int j = 0; j < 4; ++j) {
    const __m512i upper_even = _mm512_shuffle_i32x4(row[j], row[4 + j], 0x88);
    const __m512i upper_odd = _mm512_shuffle_i32x4(row[j], row[4 + j], 0xdd);
    const __m512i lower_even = _mm512_shuffle_i32x4(row[8 + j], row[12 + j], 0x88);
    const __m512i lower_odd = _mm512_shuffle_i32x4(row[8 + j], row[12 + j], 0xdd);
    other[j] = _mm512_shuffle_i32x4(upper_even, lower_even, 0x88);
    other[4 + j] = _mm512_shuffle_i32x4(upper_odd, lower_odd, 0x88);
    other[8 + j] = _mm512_shuffle_i32x4(upper_even, lower_even, 0xdd);
    other[12 + j] = _mm512_shuffle_i32x4(upper_odd, lower_odd, 0xdd);
  }
  for (int i = 0; i < 16; ++i) row[i] = other[i];
}

/// Two stored rows, p and p + 1 of k, as pairs: of the columns 0, 2, …, and of 1, 3, ….
struct Pairs {
  __m512i even, odd;
};
CHAINRULE_AVX512 inline Pairs pairs_of(const PanelSource& source, std::int64_t p) {
  const __mmask32 columns = first(source.width);
  const __mmask32 upper_columns = p < source.depth ? columns : 0;
  const __mmask32 lower_columns = p + 1 < source.depth ? columns : 0;
  const __m512i upper = _mm512_maskz_loadu_epi16(upper_columns, source.from + p * source.ld);
  const __m512i lower = _mm512_maskz_loadu_epi16(lower_columns, source.from + (p + 1) * source.ld);
  return {_mm512_mask_blend_epi16(second_of_pair, upper, _mm512_slli_epi32(lower, 16)),
          _mm512_mask_blend_epi16(second_of_pair, _mm512_srli_epi32(upper, 16), lower)};
}

/// Thirty-two elements of stored row `index`, from `p` of k on; the panel's k runs along the row.
CHAINRULE_AVX512 inline __m512i along(const PanelSource& source, std::int64_t index, std::int64_t p) {
  const __mmask32 mask = index < source.width ? first(source.depth - p) : 0;
  return _mm512_maskz_loadu_epi16(mask, source.from + index * source.ld + p);
}

CHAINRULE_AVX512 inline void store(const __m512i (&row)[16], bfloat16* out, std::int64_t distance) {
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + i * distance, row[i]);
}

CHAINRULE_TILES void set_up() {
  // Static: GCC 12 takes the instruction to read eight bytes, and would not write the others to the stack.
  static constexpr Configuration configuration;
  _tile_loadconfig(&configuration);
}
CHAINRULE_TILES void release() { _tile_release(); }

}  // namespace

bool available() {
  if (!active_target().starts_with("AVX3")) return false;
  static const bool answer = ask();
  return answer;
}

// (GCC does not take the attribute on constructors.)
Setup::Setup() { set_up(); }
Setup::~Setup() { release(); }

CHAINRULE_AVX512 void pack_a(const PanelSource& source, bfloat16* out) {
  if (source.along_k) {
    // Row after row, as they are stored, since the processor fetches such ahead.
    for (std::int64_t i = 0; i < panel; ++i) {
      bfloat16* to = out + i * step;
      for (std::int64_t p = 0; p < source.depth; p += step, to += step_elements) {
        _mm512_storeu_si512(to, along(source, i, p));
      }
    }
    return;
  }
  for (std::int64_t p = 0; p < source.depth; p += step, out += step_elements) {
    __m512i even[16], odd[16];
    for (int i = 0; i < 16; ++i) {
      const Pairs pairs = pairs_of(source, p + 2 * i);
      even[i] = pairs.even;
      odd[i] = pairs.odd;
    }
    transpose(even);
    transpose(odd);
    store(even, out, 2 * step);
    store(odd, out + step, 2 * step);
  }
}

CHAINRULE_AVX512 void pack_b(const PanelSource& source, bfloat16* out) {
  for (std::int64_t p = 0; p < source.depth; p += step, out += step_elements) {
    if (source.along_k) {
      __m512i tile[16];
      for (int half = 0; half < 2; ++half) {
        for (int j = 0; j < 16; ++j) tile[j] = along(source, 2 * j + half, p);
        transpose(tile);
        store(tile, out + half * half_elements, step);
      }
      continue;
    }
    for (int i = 0; i < 16; ++i) {
      const Pairs pairs = pairs_of(source, p + 2 * i);
      _mm512_storeu_si512(out + i * step, pairs.even);
      _mm512_storeu_si512(out + half_elements + i * step, pairs.odd);
    }
  }
}

namespace {

template <int write, int level>
CHAINRULE_TILES inline void fetch(ReadAhead& ahead) {
  for (std::int64_t i = ahead.each_step; i > 0 && ahead.rows > 0; --i) {
    __builtin_prefetch(ahead.at + ahead.line * cache_line, write, level);
    if (++ahead.line < ahead.row_lines) continue;
    ahead.line = 0;
    ahead.at += ahead.distance;
    --ahead.rows;
  }
}
CHAINRULE_TILES inline void fetch(Ahead& ahead) {
  fetch<0, 2>(ahead.next);
  fetch<0, 3>(ahead.sums);
  fetch<1, 3>(ahead.c);
}

/// A passes by; the panel of B is to stay in the first cache level.
CHAINRULE_TILES void keep_b(const PanelA& a, const bfloat16* b, std::int64_t steps, Ahead& ahead) {
  const bfloat16* rows = a.data;
  const auto distance = static_cast<std::size_t>(a.row) * sizeof(bfloat16);
  for (std::int64_t i = 0; i < steps; ++i, rows += a.next_step, b += step_elements) {
    fetch(ahead);
    _tile_stream_loadd(4, rows, distance);
    _tile_loadd(6, b, tile_bytes);
    _tile_loadd(7, b + half_elements, tile_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_stream_loadd(5, rows + a.second, distance);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

/// B passes by; the panel of A is to stay, and may be packed for that.
template <bool copying>
CHAINRULE_TILES void keep_a(const PanelA& a, const bfloat16* b, std::int64_t steps, Ahead& ahead) {
  const bfloat16* rows = a.data;
  bfloat16* copy = a.copy;
  const auto distance = static_cast<std::size_t>(a.row) * sizeof(bfloat16);
  for (std::int64_t i = 0; i < steps; ++i, rows += a.next_step, b += step_elements) {
    fetch(ahead);
    _tile_stream_loadd(6, b, tile_bytes);
    _tile_loadd(4, rows, distance);
    _tile_loadd(5, rows + a.second, distance);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(2, 5, 6);
    _tile_stream_loadd(7, b + half_elements, tile_bytes);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(3, 5, 7);
    if (copying) {
      _tile_stored(4, copy, tile_bytes);
      _tile_stored(5, copy + half_elements, tile_bytes);
      copy += step_elements;
    }
  }
}

}  // namespace

CHAINRULE_TILES void multiply(const PanelA& a, const bfloat16* b, std::int64_t steps, bool accumulate,
                              float* sums, Ahead& ahead) {
  if (accumulate) {
    _tile_loadd(0, sums, tile_bytes);
    _tile_loadd(1, sums + quarter_sums, tile_bytes);
    _tile_loadd(2, sums + 2 * quarter_sums, tile_bytes);
    _tile_loadd(3, sums + 3 * quarter_sums, tile_bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  if (a.passes_by) {
    keep_b(a, b, steps, ahead);
  } else if (a.copy != nullptr) {
    keep_a<true>(a, b, steps, ahead);
  } else {
    keep_a<false>(a, b, steps, ahead);
  }
  _tile_stored(0, sums, tile_bytes);
  _tile_stored(1, sums + quarter_sums, tile_bytes);
  _tile_stored(2, sums + 2 * quarter_sums, tile_bytes);
  _tile_stored(3, sums + 3 * quarter_sums, tile_bytes);
}

namespace {

/// Thirty-two columns of a row: 0, 2, …, and 1, 3, ….
struct Row {
  __m512 even, odd;
};

/// bfloat16 in the upper half of each value: to the nearest, ties to even; NaN stays NaN. (The processor's
/// own conversion drops subnormals.)
CHAINRULE_AVX512 inline __m512i rounded(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(up, nan, bits, _mm512_set1_epi32(0x400000));
}

CHAINRULE_AVX512 inline __m512i rounded(const Row& x) {
  return _mm512_mask_blend_epi16(second_of_pair, _mm512_srli_epi32(rounded(x.even), 16), rounded(x.odd));
}

CHAINRULE_AVX512 inline Row widened(__m512i bits) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(bits, 16)),
          _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(-0x10000)))};
}

CHAINRULE_AVX512 inline __m512 relu(__m512 x) {
  const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
  return _mm512_mask_mov_ps(x, negative, _mm512_setzero_ps());
}

}  // namespace

CHAINRULE_AVX512 void finish(const float* sums, const BlockOfC& block) {
  const __mmask32 columns = first(block.cols);
  Row bias{};
  if (block.bias != nullptr) bias = widened(_mm512_maskz_loadu_epi16(columns, block.bias));
  for (std::int64_t i = 0; i < block.rows; ++i) {
    const float* const row = sums + i / half_rows * 2 * quarter_sums + i % half_rows * half_rows;
    Row x{_mm512_loadu_ps(row), _mm512_loadu_ps(row + quarter_sums)};
    if (block.bias != nullptr) x = {_mm512_add_ps(x.even, bias.even), _mm512_add_ps(x.odd, bias.odd)};
    if (block.relu) x = {relu(x.even), relu(x.odd)};
    _mm512_mask_storeu_epi16(block.c + i * block.ldc, columns, rounded(x));
  }
}

}  // namespace chainrule::kernels::tiles

#else

namespace chainrule::kernels::tiles {

bool available() { return false; }
// Never called.
Setup::Setup() = default;
Setup::~Setup() = default;
void pack_a(const PanelSource&, bfloat16*) {}
void pack_b(const PanelSource&, bfloat16*) {}
void multiply(const PanelA&, const bfloat16*, std::int64_t, bool, float*, Ahead&) {}
void finish(const float*, const BlockOfC&) {}

}  // namespace chainrule::kernels::tiles

#endif
