#pragma once

#include <cstdint>

#include <chainrule/dtype.hpp>

/// Products of bfloat16 by the processor's tiles (Intel AMX): sums of 32 x 32 in float32.
///
/// A *panel* is 32 rows of A or 32 columns of B, a *step* 32 of k: two tiles of 16 rows of 64 bytes. Packed,
/// a panel of A holds for each step its rows one after the other, and a panel of B holds rows of pairs: B(2p,
/// j), B(2p + 1, j) for j = 0, 1, …, 15, then those of the other 16 columns. Subnormal numbers count as zero,
/// as the instruction has it (Intel SDM, TDPBF16PS).
namespace chainrule::kernels::tiles {

constexpr std::int64_t panel = 32;
constexpr std::int64_t step = 32;
/// The elements that a packed panel takes for each step.
constexpr std::int64_t step_elements = panel * step;
constexpr std::int64_t cache_line = 64;
/// The sums of one block, as four quarters of 16 x 16.
constexpr std::int64_t block_sums = panel * panel;

/// The processor has tiles for bfloat16, the system lets this process use them (asked once), and the kernels
/// have not been held to an older instruction set. To be asked before anything else here is called.
bool available();

/// The calling thread's tiles are set up as long as this lives. multiply() needs it.
class Setup {
 public:
  Setup();
  ~Setup();
  Setup(const Setup&) = delete;
  Setup& operator=(const Setup&) = delete;
};

/// A panel to be packed: `width` (at most 32) of its rows or columns, `depth` of k. What is missing to whole
/// steps and panels becomes zero.
struct PanelSource {
  const bfloat16* from = nullptr;
  std::int64_t ld = 0;  ///< the distance between stored rows
  std::int64_t width = 0, depth = 0;
  bool along_k = false;  ///< each stored row is one of the panel's, and k runs along it
};
void pack_a(const PanelSource& source, bfloat16* out);
void pack_b(const PanelSource& source, bfloat16* out);

/// Where the rows of a panel of A lie: packed, or as they are stored. Distances in elements.
struct PanelA {
  const bfloat16* data = nullptr;
  std::int64_t row = step;                 ///< from one row to the next in each half of the panel
  std::int64_t second = step * panel / 2;  ///< from the first half to the second
  std::int64_t next_step = step_elements;  ///< from a step to the next
  bool passes_by = false;                  ///< what is to stay in the first cache level is B, not A
  bfloat16* copy = nullptr;                ///< where it is packed to on the way, unless null
};

/// Memory that is fetched into a cache while a product is computed, so many lines in each step: `rows` rows
/// of `row_lines` cache lines, `distance` bytes apart.
struct ReadAhead {
  const char* at = nullptr;
  std::int64_t distance = 0, row_lines = 0, rows = 0, each_step = 0;
  std::int64_t line = 0;  ///< the next one of the row
};

struct Ahead {
  ReadAhead next;  ///< panel to be packed, into the second level
  ReadAhead sums;  ///< the next ones, into the first
  ReadAhead c;     ///< what is written after this product
};

/// sums = A · B over `steps` steps, or sums + A · B.
void multiply(const PanelA& a, const bfloat16* b, std::int64_t steps, bool accumulate, float* sums,
              Ahead& ahead);

/// C = the sums plus the bias (or none), rounded once; relu takes max(·, 0) before and keeps NaN.
struct BlockOfC {
  bfloat16* c = nullptr;
  std::int64_t ldc = 0, rows = 0, cols = 0;  ///< at most 32 of each
  const bfloat16* bias = nullptr;
  bool relu = false;
};
void finish(const float* sums, const BlockOfC& block);

}  // namespace chainrule::kernels::tiles
