#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/file.hpp"

/// Just enough of the ZIP format for NPZ: stored and deflated entries, no encryption, no 64-bit extension.
/// Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
namespace chainrule::io {

/// The CRC-32 of `bytes` bytes, continued from `crc`, which is 0 at the beginning.
std::uint32_t crc32_of(std::uint32_t crc, const void* data, std::size_t bytes);

/// An entry of the central directory, whose place in the file has been checked: entries lie inside the
/// file and do not overlap, so that the same bytes are never inflated twice.
struct ZipEntry {
  std::string name;
  int method = 0;  ///< 0 stored, 8 deflated
  std::uint32_t crc = 0;
  std::uint64_t compressed = 0;    ///< bytes in the file
  std::uint64_t uncompressed = 0;  ///< bytes promised after inflating
  std::uint64_t header = 0;        ///< where in the file the entry's own header begins
  std::uint64_t data = 0;          ///< where its data begin
};

/// The entries of an archive, in the order of the file. Names are unique.
std::vector<ZipEntry> read_zip_directory(const InputFile& file);

/// Reads an entry and sums up its checksum on the way.
class ZipEntryReader final : public ByteReader {
 public:
  ZipEntryReader(const InputFile& file, const ZipEntry& entry);
  /// Throws IoError unless exactly the promised bytes were read and their CRC-32 is right.
  void finish();

 private:
  std::size_t read_some(void* to, std::size_t bytes) override;
  std::uint64_t available(std::uint64_t bytes) override;

  const ZipEntry& entry_;
  std::unique_ptr<ByteReader> source_;
  std::uint32_t crc_ = 0;
};

}  // namespace chainrule::io
