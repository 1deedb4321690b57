#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace chainrule::io {

/// A file that appears whole or not at all.
///
/// Bytes go to a new file with a temporary name in the same folder. `commit` makes them durable and
/// renames that file to `path`, which replaces an older one in a single step. Without `commit`, and
/// after any failure, the older file stays as it was and the temporary file is removed; a process
/// killed in between leaves at most a file called `path.<process>-<count>.tmp` behind.
/// An older file's permissions are kept, and a symbolic link is followed. Every failure is an IoError.
class AtomicFile {
 public:
  AtomicFile(const std::string& path, const char* function);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();
  /// Bytes written so far.
  std::uint64_t position() const { return position_; }

 private:
  void open_temporary(unsigned mode, bool keep_mode);
  void sync_folder() const;
  [[noreturn]] void fail(const char* problem, int code) const;

  std::string path_;
  std::string temporary_;
  const char* function_;
  int descriptor_ = -1;
  std::uint64_t position_ = 0;
};

/// For tests: called in the middle of each write, before each renaming and after it. Null: not called.
using WriteObserver = void (*)();
void observe_writes(WriteObserver observer);

/// `text` as the whole content of the file at `path`, atomically.
void write_file(const std::string& path, std::string_view text, const char* function);

}  // namespace chainrule::io
