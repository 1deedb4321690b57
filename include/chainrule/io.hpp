#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <chainrule/buffer.hpp>
#include <chainrule/export.hpp>

/// File formats: safetensors, NumPy's NPY and NPZ, IDX, CSV. JSON and TOML are read and written by those whose
/// data they hold: `nn::to_json` and `nn::record_from_json` for a model's record, `train::load_config` and
/// `train::to_toml` for a configuration, `train::load_run` for the records of a run.
///
/// All readers distrust the file: a size it states is compared with what it holds before memory of that
/// size is allocated, and whatever does not fit is an IoError that names the file, the byte or line, what
/// came and what was wanted. All writers are atomic: the file at `path` is either the old one or the whole
/// new one, whatever fails or is killed in between.
namespace chainrule {

/// Arrays by name, in the names' order.
using NamedArrays = std::map<std::string, HostArray>;

/// What a safetensors file holds.
struct Safetensors {
  NamedArrays arrays;
  std::map<std::string, std::string> metadata;
};

/// Reads a safetensors file. BOOL, U8, I32, I64, BF16, F32 and F64 as they are; I8, I16 and U16 → int32, U32 →
/// int64, F16 → float32.
///
/// Throws IoError for a file that is truncated, has holes or overlaps between tensors or a name twice,
/// for a header above 100 MB, and for another dtype or a rank above `max_rank`, naming the tensor.
/// Format: https://github.com/huggingface/safetensors
CHAINRULE_API Safetensors load_safetensors(const std::string& path);

/// Writes a safetensors file that is byte for byte what Python's `safetensors` 0.8 writes for the same
/// arrays, at most one metadata entry provided (Python's order of several is random, ours alphabetical).
///
/// Throws ArgumentError for the name "__metadata__" and for names or metadata that are not UTF-8; IoError
/// where the file can't be written.
CHAINRULE_API void save_safetensors(const std::string& path, const NamedArrays& arrays,
                                    const std::map<std::string, std::string>& metadata = {});

/// Reads an array in NumPy's NPY format, versions 1 to 3, C or Fortran order (the result is always
/// row-major), either byte order.
///
/// bool, uint8, int32, int64, float32, float64 as they are; int8, int16, uint16 → int32, uint32 → int64,
/// float16 → float32. Throws IoError for all others (complex, text, records, pickled objects).
/// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
CHAINRULE_API HostArray load_npy(const std::string& path);

/// Writes version 1.0 of NPY, byte for byte what `numpy.save` writes.
/// Throws DTypeError for bfloat16, which NumPy lacks; IoError where the file can't be written.
CHAINRULE_API void save_npy(const std::string& path, const HostArray& array);

/// Reads an archive that `numpy.savez` or `savez_compressed` wrote; names without ".npy".
///
/// Checksums are verified. Throws IoError for archives that are damaged, encrypted, or need the 64-bit
/// extension (4 GiB and more), and for entries that are not arrays that `load_npy` reads.
CHAINRULE_API NamedArrays load_npz(const std::string& path);

/// Writes arrays as `numpy.savez` does: stored, not compressed. Equal arrays make equal files.
/// Throws ArgumentError past 4 GiB and for unusable names, DTypeError for bfloat16, IoError.
CHAINRULE_API void save_npz(const std::string& path, const NamedArrays& arrays);

/// Reads an IDX file, plain or compressed by gzip (told by its first bytes), such as MNIST's.
///
/// uint8, int32, float32, float64 as they are; int8 and int16 → int32. The header says how many bytes
/// follow, and no more than that is ever inflated.
/// Format: http://yann.lecun.com/exdb/mnist, last section
CHAINRULE_API HostArray load_idx(const std::string& path);

/// Whether the first row of a CSV file holds the columns' names. `automatic`: yes, if none of its fields
/// is a number or missing, and the second row, if there is one, has a number.
enum class CsvHeader { yes, no, automatic };

struct CsvOptions {
  char delimiter = ',';
  char quote = '"';
  CsvHeader header = CsvHeader::yes;
  /// Fields that stand for a missing value, compared after spaces around them are dropped.
  std::vector<std::string> missing = {"", "NA", "N/A", "na", "nan", "NaN", "NAN", "null", "NULL", "?"};
};

enum class CsvType {
  integer,      ///< int64; no value is missing
  real,         ///< float64; missing values are NaN
  categorical,  ///< int64 indices into `categories`; missing values are -1
};

struct CsvColumn {
  std::string name;
  CsvType type = CsvType::real;
  HostArray values;                     ///< [rows]
  std::vector<std::string> categories;  ///< sorted by bytes, each once
  std::int64_t missing = 0;             ///< how many values are missing
};

/// The content of a CSV file, column by column.
class CHAINRULE_API CsvTable {
 public:
  CsvTable(std::int64_t rows, std::vector<CsvColumn> columns, std::string path);

  std::int64_t rows() const { return rows_; }
  const std::vector<CsvColumn>& columns() const { return columns_; }
  /// The column called `name`. Throws ArgumentError, with the nearest name, where there is none.
  const CsvColumn& column(std::string_view name) const;

 private:
  std::int64_t rows_;
  std::vector<CsvColumn> columns_;
  std::string path_;
};

/// Reads a CSV file as RFC 4180 describes it: fields may be quoted and then hold delimiters, line ends and
/// doubled quotes. LF and CRLF end lines, a UTF-8 byte order mark and empty lines are skipped.
///
/// A column is integer if each value is one, else real if each is a number (a missing value counts as
/// one), else categorical. Numbers are read the same way under every locale; numbers too large for
/// float64 become infinite. Throws IoError with the line for rows of unequal length, stray or unclosed
/// quotes, a column name twice, NUL bytes; ArgumentError for options that contradict each other.
CHAINRULE_API CsvTable read_csv(const std::string& path, const CsvOptions& options = {});

/// The SHA-256 of a file's content as 64 hexadecimal digits: what `sha256sum` prints.
CHAINRULE_API std::string file_hash(const std::string& path);

}  // namespace chainrule
