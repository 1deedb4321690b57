#include "io/zip.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <set>

#include <chainrule/text.hpp>

namespace chainrule::io {
namespace {

constexpr std::uint32_t end_signature = 0x06054b50;
constexpr std::uint32_t directory_signature = 0x02014b50;
constexpr std::uint32_t local_signature = 0x04034b50;
constexpr std::size_t end_size = 22;
constexpr std::size_t directory_size = 46;
constexpr std::size_t local_size = 30;
constexpr std::uint64_t longest_comment = 65535;
constexpr std::uint32_t in_64_bit_extension = 0xffffffff;

std::uint32_t number(const char* bytes, int size) {
  std::uint32_t value = 0;
  for (int i = size - 1; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

struct Directory {
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
  std::uint32_t entries = 0;
};

[[noreturn]] void refuse_64_bit(const InputFile& file, std::uint64_t byte) {
  file.context().fail(byte, "the ZIP archive uses the 64-bit extension, which is not supported", {},
                      "entries and archives below 4 GiB");
}

// The record that ends the archive; only a comment of its stated length may follow it.
Directory find_directory(const InputFile& file) {
  const std::uint64_t tail_size = std::min<std::uint64_t>(file.size(), end_size + longest_comment);
  const std::uint64_t tail_begin = file.size() - tail_size;
  std::string tail(static_cast<std::size_t>(tail_size), '\0');
  file.read(tail_begin, tail.data(), tail.size());
  for (std::size_t i = tail.size() + 1 > end_size ? tail.size() - end_size + 1 : 0; i-- > 0;) {
    const char* record = tail.data() + i;
    if (number(record, 4) != end_signature || i + end_size + number(record + 20, 2) != tail.size()) continue;
    const std::uint64_t byte = tail_begin + i;
    const Directory directory{number(record + 16, 4), number(record + 12, 4), number(record + 10, 2)};
    if (directory.entries == 0xffff || directory.bytes == in_64_bit_extension ||
        directory.begin == in_64_bit_extension) {
      refuse_64_bit(file, byte);
    }
    if (number(record + 4, 4) != 0 || number(record + 8, 2) != directory.entries) {
      file.context().fail(byte, "the ZIP archive is split over several files", {}, "a single file");
    }
    if (directory.begin + directory.bytes > byte) {
      file.context().fail(byte, "the ZIP directory lies outside the file",
                          std::to_string(directory.bytes) + " bytes from " + std::to_string(directory.begin),
                          "an end of at most " + std::to_string(byte));
    }
    return directory;
  }
  file.context().fail(file.size(), "not a ZIP archive, or a truncated one", "no end-of-archive record");
}

ZipEntry parse_entry(const InputFile& file, const char* record, const std::string& name, std::uint64_t byte) {
  ZipEntry entry;
  entry.name = name;
  entry.method = static_cast<int>(number(record + 10, 2));
  entry.crc = number(record + 16, 4);
  entry.compressed = number(record + 20, 4);
  entry.uncompressed = number(record + 24, 4);
  entry.header = number(record + 42, 4);
  const std::uint32_t flags = number(record + 8, 2);
  if ((flags & 1U) != 0) file.context().fail(byte, "the ZIP entry is encrypted", {}, "a plain one", name);
  if (entry.compressed == in_64_bit_extension || entry.uncompressed == in_64_bit_extension ||
      entry.header == in_64_bit_extension) {
    refuse_64_bit(file, byte);
  }
  if (entry.method != 0 && entry.method != 8) {
    file.context().fail(byte, "a ZIP compression method that can't be read", std::to_string(entry.method),
                        "0 (stored) or 8 (deflated)", name);
  }
  if (entry.method == 0 && entry.compressed != entry.uncompressed) {
    file.context().fail(byte, "a stored ZIP entry has two sizes",
                        std::to_string(entry.compressed) + " and " + std::to_string(entry.uncompressed),
                        "equal sizes", name);
  }
  return entry;
}

// Finds the data behind the entry's own header, whose name and extra field may have other lengths than the
// directory's. Its sizes are not used: writers that stream leave them empty.
void locate_data(const InputFile& file, ZipEntry& entry, std::uint64_t end) {
  std::array<char, local_size> header{};
  const bool fits = entry.header + local_size <= end;
  if (fits) file.read(entry.header, header.data(), header.size());
  if (!fits || number(header.data(), 4) != local_signature) {
    file.context().fail(entry.header, "no ZIP entry stands where the directory says", {}, "an entry's header",
                        entry.name);
  }
  entry.data = entry.header + local_size + number(header.data() + 26, 2) + number(header.data() + 28, 2);
  if (entry.data + entry.compressed > end) {
    file.context().fail(entry.header, "a ZIP entry reaches into what follows it",
                        std::to_string(entry.compressed) + " bytes from " + std::to_string(entry.data),
                        "an end of at most " + std::to_string(end), entry.name);
  }
}

}  // namespace

std::uint32_t crc32_of(std::uint32_t crc, const void* data, std::size_t bytes) {
  if (bytes == 0) return crc;  // zlib takes a null pointer for a request to begin anew
  return static_cast<std::uint32_t>(crc32_z(crc, static_cast<const unsigned char*>(data), bytes));
}

std::vector<ZipEntry> read_zip_directory(const InputFile& file) {
  const Directory directory = find_directory(file);
  std::string bytes(static_cast<std::size_t>(directory.bytes), '\0');
  file.read(directory.begin, bytes.data(), bytes.size());
  std::vector<ZipEntry> entries;
  std::set<std::string> names;
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < directory.entries; ++i) {
    const std::uint64_t byte = directory.begin + at;
    const std::size_t left = bytes.size() - at;
    const char* record = bytes.data() + at;
    if (left < directory_size || number(record, 4) != directory_signature) {
      file.context().fail(byte, "the ZIP directory is damaged", {}, "an entry of the directory");
    }
    const std::size_t name_size = number(record + 28, 2);
    const std::size_t size = directory_size + name_size + number(record + 30, 2) + number(record + 32, 2);
    if (left < size) file.context().fail(byte, "the ZIP directory ends inside an entry");
    const std::string name(record + directory_size, name_size);
    if (!names.insert(name).second) {
      file.context().fail(byte, "a name comes twice in the ZIP archive", quote(name), "each name once");
    }
    entries.push_back(parse_entry(file, record, name, byte));
    at += size;
  }
  if (at != bytes.size()) file.context().fail(directory.begin + at, "more bytes follow the ZIP directory");

  std::sort(entries.begin(), entries.end(),
            [](const ZipEntry& a, const ZipEntry& b) { return a.header < b.header; });
  for (std::size_t i = 0; i < entries.size(); ++i) {
    locate_data(file, entries[i], i + 1 < entries.size() ? entries[i + 1].header : directory.begin);
  }
  return entries;
}

ZipEntryReader::ZipEntryReader(const InputFile& file, const ZipEntry& entry)
    : ByteReader(file.context(), entry.method == 0 ? entry.data : 0),
      entry_(entry),
      source_(entry.method == 0 ? file_range_reader(file, entry.data, entry.compressed)
                                : inflate_reader(file, entry.data, entry.compressed, Compression::deflate)) {}

std::size_t ZipEntryReader::read_some(void* to, std::size_t bytes) {
  const std::size_t count = source_->read(to, bytes);
  crc_ = crc32_of(crc_, to, count);
  return count;
}

std::uint64_t ZipEntryReader::available(std::uint64_t bytes) {
  const std::uint64_t promised = entry_.uncompressed - std::min(entry_.uncompressed, position());
  const std::uint64_t wanted = std::min(bytes, promised);
  source_->require(wanted, "the ZIP entry");
  return wanted;
}

void ZipEntryReader::finish() {
  expect_end("the ZIP entry");
  if (position() != entry_.uncompressed) {
    context().fail(entry_.header, "a ZIP entry is not as long as promised",
                   std::to_string(position()) + " bytes", std::to_string(entry_.uncompressed) + " bytes",
                   entry_.name);
  }
  if (crc_ != entry_.crc) {
    context().fail(entry_.header, "a ZIP entry is damaged", "CRC-32 " + std::to_string(crc_),
                   std::to_string(entry_.crc), entry_.name);
  }
}

}  // namespace chainrule::io
