#include "io/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <system_error>
#include <utility>

#include <chainrule/error.hpp>

namespace chainrule::io {
namespace {

// Temporary names that other writers happen to hold are passed over; this many in a row are not chance.
constexpr int most_attempts = 1000;

std::atomic<WriteObserver> write_observer{nullptr};

void tell_observer() {
  if (const WriteObserver observer = write_observer.load(std::memory_order_relaxed)) observer();
}

std::string resolved(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
  return real ? std::string(real.get()) : path;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path, const char* function)
    : path_(resolved(path)), function_(function) {
  if (path_.find('\0') != std::string::npos) fail("the path holds a NUL byte", 0);
  struct stat status {};
  const bool exists = ::stat(path_.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode)) fail("the path names something other than a file", 0);
  open_temporary(exists ? status.st_mode & 07777U : 0666U, exists);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::open_temporary(unsigned mode, bool keep_mode) {
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    const std::string name =
        path_ + '.' + std::to_string(::getpid()) + '-' + std::to_string(counter.fetch_add(1)) + ".tmp";
    descriptor_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (descriptor_ >= 0) {
      temporary_ = name;
      // The process's mask applies to `open`; an older file's own permissions are carried over as far
      // as the system lets us, and no further.
      if (keep_mode) static_cast<void>(::fchmod(descriptor_, mode));
      return;
    }
    if (errno != EEXIST) break;
  }
  fail("the file can't be created", errno);
}

void AtomicFile::fail(const char* problem, int code) const {
  throw IoError({.function = function_,
                 .argument = "path",
                 .problem = code == 0 ? problem : problem + (": " + std::generic_category().message(code)),
                 .got = path_,
                 .wanted = "a file in an existing folder that can be written"});
}

void AtomicFile::write(const void* data, std::size_t bytes) {
  // Linux writes at most about 2 GiB a call.
  constexpr std::size_t most = std::size_t{1} << 30;
  const auto* cursor = static_cast<const char*>(data);
  while (bytes > 0) {
    const bool watched = write_observer.load(std::memory_order_relaxed) != nullptr;
    const std::size_t share = watched && cursor == data && bytes > 1 ? bytes / 2 : bytes;
    const ssize_t count = ::write(descriptor_, cursor, std::min(share, most));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("writing failed", errno);
    cursor += count;
    bytes -= static_cast<std::size_t>(count);
    position_ += static_cast<std::uint64_t>(count);
    if (bytes > 0) tell_observer();
  }
}

void observe_writes(WriteObserver observer) { write_observer.store(observer); }

void AtomicFile::commit() {
  // The content must be on disk before the name is: a crash in between must not show an empty file.
  if (::fsync(descriptor_) != 0) fail("writing failed", errno);
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0 && errno != EINTR) fail("writing failed", errno);
  tell_observer();
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("the finished file can't be renamed", errno);
  tell_observer();
  temporary_.clear();
  sync_folder();
}

// Makes the new name durable. The file is complete by now and some file systems refuse to sync folders,
// so a failure here is nobody's error.
void AtomicFile::sync_folder() const {
  const auto slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash);
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

void write_file(const std::string& path, std::string_view text, const char* function) {
  AtomicFile file(path, function);
  file.write(text);
  file.commit();
}

}  // namespace chainrule::io
