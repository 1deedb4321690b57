#include "io/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace chainrule::io {

namespace {

std::string located(const std::string& place, const std::string& came) {
  return came.empty() ? place : place + ": " + came;
}

std::string system_message(int code) { return std::generic_category().message(code); }

class FileRangeReader final : public ByteReader {
 public:
  FileRangeReader(const InputFile& file, std::uint64_t offset, std::uint64_t length)
      : ByteReader(file.context(), offset), file_(file), offset_(offset), left_(length) {}

 private:
  std::size_t read_some(void* to, std::size_t bytes) override {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, left_));
    file_.read(offset_, to, count);
    offset_ += count;
    left_ -= count;
    return count;
  }
  std::uint64_t available(std::uint64_t bytes) override { return std::min(bytes, left_); }

  const InputFile& file_;
  std::uint64_t offset_;
  std::uint64_t left_;
};

}  // namespace

void FileContext::fail(std::uint64_t byte, std::string problem, const std::string& came, std::string wanted,
                       std::string argument) const {
  throw IoError({.function = function,
                 .argument = std::move(argument),
                 .problem = std::move(problem),
                 .got = located(path + ", byte " + std::to_string(byte), came),
                 .wanted = std::move(wanted)});
}

void FileContext::fail_at_line(std::uint64_t line, std::string problem, const std::string& came,
                               std::string wanted, std::string argument) const {
  throw IoError({.function = function,
                 .argument = std::move(argument),
                 .problem = std::move(problem),
                 .got = located(path + ", line " + std::to_string(line), came),
                 .wanted = std::move(wanted)});
}

InputFile::InputFile(FileContext context) : context_(std::move(context)) {
  const auto refuse = [&](std::string problem) {
    if (descriptor_ >= 0) ::close(descriptor_);
    throw IoError({.function = context_.function,
                   .argument = "path",
                   .problem = std::move(problem),
                   .got = context_.path,
                   .wanted = "a file that can be read"});
  };
  if (context_.path.find('\0') != std::string::npos) refuse("the path holds a NUL byte");
  // O_NONBLOCK: opening a named pipe must not wait for its writer; on regular files it does nothing.
  descriptor_ = ::open(context_.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) refuse("the file can't be opened: " + system_message(errno));
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) refuse("the file can't be read: " + system_message(errno));
  if (!S_ISREG(status.st_mode)) refuse("not a regular file");
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read(std::uint64_t offset, void* to, std::size_t bytes) const {
  auto* cursor = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t count = ::pread(descriptor_, cursor, bytes, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) context_.fail(offset, "reading failed: " + system_message(errno));
    if (count == 0) context_.fail(offset, "the file ends early", {}, std::to_string(bytes) + " more bytes");
    cursor += count;
    offset += static_cast<std::uint64_t>(count);
    bytes -= static_cast<std::size_t>(count);
  }
}

std::string read_text(const FileContext& context, std::uint64_t limit) {
  const InputFile file(context);
  if (file.size() > limit) {
    context.fail(0, "the file is too large", std::to_string(file.size()) + " bytes",
                 "at most " + std::to_string(limit) + " bytes");
  }
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read(0, text.data(), text.size());
  return text;
}

std::size_t ByteReader::read(void* to, std::size_t bytes) {
  const std::size_t count = read_some(to, bytes);
  position_ += count;
  return count;
}

void ByteReader::read_exactly(void* to, std::size_t bytes, const char* what) {
  const std::size_t count = read(to, bytes);
  if (count < bytes) {
    context_.fail(place(), std::string("the data end inside ") + what, {},
                  std::to_string(bytes - count) + " more bytes");
  }
}

void ByteReader::expect_end(const char* what) {
  char extra = 0;
  const std::uint64_t end = place();
  if (read(&extra, 1) != 0) context_.fail(end, std::string("more bytes follow ") + what, {}, "the end");
}

void ByteReader::require(std::uint64_t bytes, const char* what) {
  const std::uint64_t left = available(bytes);
  if (left < bytes) {
    context_.fail(place(), std::string("the data end before ") + what + " does",
                  std::to_string(left) + " bytes are left", std::to_string(bytes) + " bytes");
  }
}

std::unique_ptr<ByteReader> file_range_reader(const InputFile& file, std::uint64_t offset,
                                              std::uint64_t length) {
  return std::make_unique<FileRangeReader>(file, offset, length);
}

}  // namespace chainrule::io
