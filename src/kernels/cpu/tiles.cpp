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
#define CHAINRULE_TILES __attribute__((target("amx-tile,amx-bf16")))

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

/// The upper halves of two vectors of 32-bit values, one vector's after the other's: 1, 3, …, 63.
struct alignas(64) UpperHalves {
  std::uint16_t lane[32] = {};
  constexpr UpperHalves() {
    for (int i = 0; i < 32; ++i) lane[i] = static_cast<std::uint16_t>(2 * i + 1);
  }
};
constexpr UpperHalves upper_halves;

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

/// Two stored rows, p and p + 1 of k, as pairs: of the columns 0 to 15, and of 16 to 31.
struct Pairs {
  __m512i low, high;
};
CHAINRULE_AVX512 inline Pairs pairs_of(const PanelSource& source, std::int64_t p) {
  const __mmask32 columns = first(source.width);
  const __mmask32 upper_columns = p < source.depth ? columns : 0;
  const __mmask32 lower_columns = p + 1 < source.depth ? columns : 0;
  const __m512i upper = _mm512_maskz_loadu_epi16(upper_columns, source.from + p * source.ld);
  const __m512i lower = _mm512_maskz_loadu_epi16(lower_columns, source.from + (p + 1) * source.ld);
  // unpack works on 128-bit quarters, of eight columns each: their order is mended first.
  const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
  const __m512i u = _mm512_permutexvar_epi64(order, upper);
  const __m512i l = _mm512_permutexvar_epi64(order, lower);
  return {_mm512_unpacklo_epi16(u, l), _mm512_unpackhi_epi16(u, l)};
}

/// Thirty-two elements of stored row `index`, from `p` of k on; the panel's k runs along the row.
CHAINRULE_AVX512 inline __m512i along(const PanelSource& source, std::int64_t index, std::int64_t p) {
  const __mmask32 mask = index < source.width ? first(source.depth - p) : 0;
  return _mm512_maskz_loadu_epi16(mask, source.from + index * source.ld + p);
}

CHAINRULE_AVX512 inline void store(const __m512i (&row)[16], bfloat16* out) {
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + i * step, row[i]);
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
    __m512i first_tile[16], second_tile[16];
    for (int i = 0; i < 16; ++i) {
      const Pairs pairs = pairs_of(source, p + 2 * i);
      first_tile[i] = pairs.low;
      second_tile[i] = pairs.high;
    }
    transpose(first_tile);
    transpose(second_tile);
    store(first_tile, out);
    store(second_tile, out + half_elements);
  }
}

CHAINRULE_AVX512 void pack_b(const PanelSource& source, bfloat16* out) {
  for (std::int64_t p = 0; p < source.depth; p += step, out += step_elements) {
    if (source.along_k) {
      __m512i tile[16];
      for (int half = 0; half < 2; ++half) {
        for (int j = 0; j < 16; ++j) tile[j] = along(source, half * half_rows + j, p);
        transpose(tile);
        store(tile, out + half * half_elements);
      }
      continue;
    }
    for (int i = 0; i < 16; ++i) {
      const Pairs pairs = pairs_of(source, p + 2 * i);
      _mm512_storeu_si512(out + i * step, pairs.low);
      _mm512_storeu_si512(out + half_elements + i * step, pairs.high);
    }
  }
}

namespace {

inline void fetch(ReadAhead& ahead) {
  const std::int64_t count = std::min(ahead.each_step, ahead.lines);
  for (std::int64_t i = 0; i < count; ++i, ahead.at += ahead.distance) __builtin_prefetch(ahead.at, 0, 2);
  ahead.lines -= count;
}

}  // namespace

CHAINRULE_TILES void multiply(const PanelA& a, const bfloat16* b, std::int64_t steps, bool accumulate,
                              float* sums, ReadAhead& ahead_a, ReadAhead& ahead_b) {
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
  const bfloat16* rows = a.data;
  const auto distance = static_cast<std::size_t>(a.row) * sizeof(bfloat16);
  for (std::int64_t i = 0; i < steps; ++i, rows += a.next_step, b += step_elements) {
    fetch(ahead_a);
    fetch(ahead_b);
    // A passes by; the panel of B is to stay in the first cache level.
    _tile_stream_loadd(4, rows, distance);
    _tile_loadd(6, b, tile_bytes);
    _tile_loadd(7, b + half_elements, tile_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_stream_loadd(5, rows + a.second, distance);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, sums, tile_bytes);
  _tile_stored(1, sums + quarter_sums, tile_bytes);
  _tile_stored(2, sums + 2 * quarter_sums, tile_bytes);
  _tile_stored(3, sums + 3 * quarter_sums, tile_bytes);
}

namespace {

/// Thirty-two columns of a row.
struct Row {
  __m512 left, right;
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
  return _mm512_permutex2var_epi16(rounded(x.left), _mm512_load_si512(&upper_halves), rounded(x.right));
}

CHAINRULE_AVX512 inline Row widened(__m512i bits) {
  return {
      _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(bits)), 16)),
      _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(bits, 1)), 16))};
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
    if (block.bias != nullptr) x = {_mm512_add_ps(x.left, bias.left), _mm512_add_ps(x.right, bias.right)};
    if (block.relu) x = {relu(x.left), relu(x.right)};
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
void multiply(const PanelA&, const bfloat16*, std::int64_t, bool, float*, ReadAhead&, ReadAhead&) {}
void finish(const float*, const BlockOfC&) {}

}  // namespace chainrule::kernels::tiles

#endif
