#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <chainrule/buffer.hpp>
#include <chainrule/error.hpp>

/// Reading files whose content is not trusted.
///
/// The rule for every parser: a size that a file states is compared with what the file holds before
/// anything of that size is allocated.
namespace chainrule::io {

/// Which public function reads which file: the head of each of its errors.
struct FileContext {
  const char* function;
  std::string path;

  /// Throws IoError; `argument` names the tensor, entry or column at fault, if any.
  [[noreturn]] void fail(std::uint64_t byte, std::string problem, const std::string& came = {},
                         std::string wanted = {}, std::string argument = {}) const;
  /// The same for formats of lines, counted from 1.
  [[noreturn]] void fail_at_line(std::uint64_t line, std::string problem, const std::string& came = {},
                                 std::string wanted = {}, std::string argument = {}) const;
};

/// A regular file opened for reading. Throws IoError where it can't be opened or is something else (a
/// folder, a pipe), whose length is not known beforehand.
class InputFile {
 public:
  explicit InputFile(FileContext context);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const FileContext& context() const { return context_; }
  std::uint64_t size() const { return size_; }
  /// Fills `to` with the `bytes` bytes from `offset`. Throws IoError where the file ends before.
  void read(std::uint64_t offset, void* to, std::size_t bytes) const;

 private:
  FileContext context_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// The whole file as text. Throws IoError past `limit` bytes.
std::string read_text(const FileContext& context, std::uint64_t limit);

/// Bytes one after another: a part of a file, or what a compressed part of a file inflates to.
class ByteReader {
 public:
  /// `origin` is where in the file the bytes begin; 0 for inflated ones, whose errors count from there.
  explicit ByteReader(const FileContext& context, std::uint64_t origin = 0)
      : context_(context), origin_(origin) {}
  virtual ~ByteReader() = default;
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;

  /// Fills `to` with up to `bytes` bytes; fewer only where the source ends. Returns how many.
  std::size_t read(void* to, std::size_t bytes);
  /// The same, but throws IoError where the source ends before; `what` names the part being read.
  void read_exactly(void* to, std::size_t bytes, const char* what);
  /// Throws IoError unless nothing is left.
  void expect_end(const char* what);
  /// Throws IoError where fewer than `bytes` bytes are left. Called before memory for them is allocated.
  void require(std::uint64_t bytes, const char* what);

  const FileContext& context() const { return context_; }
  /// Bytes read so far.
  std::uint64_t position() const { return position_; }
  /// The place of the next byte, for errors.
  std::uint64_t place() const { return origin_ + position_; }

 protected:
  virtual std::size_t read_some(void* to, std::size_t bytes) = 0;
  /// min(bytes left, `bytes`), or more where that would be costly to know and the claim is modest.
  virtual std::uint64_t available(std::uint64_t bytes) = 0;

 private:
  const FileContext& context_;
  std::uint64_t origin_;
  std::uint64_t position_ = 0;
};

/// `length` bytes of `file` from `offset`, which must lie inside it. The file must outlive the reader.
std::unique_ptr<ByteReader> file_range_reader(const InputFile& file, std::uint64_t offset,
                                              std::uint64_t length);

enum class Compression { deflate, gzip };

/// What `length` bytes of `file` from `offset` inflate to. Never inflates more than is asked for.
/// Damaged data, and bytes behind the end of the compressed stream, are IoErrors.
std::unique_ptr<ByteReader> inflate_reader(const InputFile& file, std::uint64_t offset, std::uint64_t length,
                                           Compression compression);

}  // namespace chainrule::io
