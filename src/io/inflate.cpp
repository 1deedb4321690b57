#include <zlib.h>

#include <algorithm>
#include <array>

#include "io/file.hpp"

namespace chainrule::io {
namespace {

// A promise of up to this many times the compressed bytes is believed, since honest data reach it and
// the allocation stays in proportion to the file. Anything beyond is inflated once into a small buffer
// and counted before it is believed.
constexpr std::uint64_t believed_ratio = 16;
// The largest ratio that deflate can reach: 258 bytes from 2 bits, and a little.
constexpr std::uint64_t largest_ratio = 1032;
constexpr std::size_t chunk = std::size_t{1} << 16;

class InflateReader final : public ByteReader {
 public:
  InflateReader(const InputFile& file, std::uint64_t offset, std::uint64_t length, Compression compression)
      : ByteReader(file.context()),
        file_(file),
        begin_(offset),
        length_(length),
        compression_(compression),
        next_(offset),
        left_(length) {
    // Window bits: negative for a bare deflate stream, 16 more for a gzip header and checksum.
    const int window = compression == Compression::gzip ? MAX_WBITS + 16 : -MAX_WBITS;
    if (inflateInit2(&stream_, window) != Z_OK) throw std::bad_alloc();
  }
  ~InflateReader() override { inflateEnd(&stream_); }

 private:
  std::size_t read_some(void* to, std::size_t bytes) override;
  std::uint64_t available(std::uint64_t bytes) override;
  std::size_t inflate_step(unsigned char* to, std::size_t bytes);
  void refill();

  const InputFile& file_;
  std::uint64_t begin_;
  std::uint64_t length_;
  Compression compression_;
  std::uint64_t next_;  // file position of the next compressed byte to fetch
  std::uint64_t left_;  // compressed bytes not fetched yet
  z_stream stream_{};
  bool ended_ = false;
  std::array<unsigned char, chunk> input_;
};

void InflateReader::refill() {
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input_.size()));
  file_.read(next_, input_.data(), count);
  next_ += count;
  left_ -= count;
  stream_.next_in = input_.data();
  stream_.avail_in = static_cast<uInt>(count);
}

// One call of zlib. Returns how many bytes it gave, which may be none at the end of a chunk of input.
std::size_t InflateReader::inflate_step(unsigned char* to, std::size_t bytes) {
  if (stream_.avail_in == 0 && left_ > 0) refill();
  const auto room = static_cast<uInt>(std::min<std::size_t>(bytes, std::size_t{1} << 30));
  stream_.next_out = to;
  stream_.avail_out = room;
  const int status = ::inflate(&stream_, Z_NO_FLUSH);
  const std::uint64_t byte = next_ - stream_.avail_in;
  if (status == Z_MEM_ERROR) throw std::bad_alloc();
  if (status == Z_STREAM_END) {
    ended_ = true;
    if (stream_.avail_in > 0 || left_ > 0) {
      context().fail(byte, "bytes follow the compressed data", {}, "the end of the compressed data");
    }
  } else if (status == Z_BUF_ERROR && stream_.avail_in == 0 && left_ == 0) {
    context().fail(byte, "the compressed data end early");
  } else if (status != Z_OK && status != Z_BUF_ERROR) {
    context().fail(byte, "the compressed data are damaged", stream_.msg != nullptr ? stream_.msg : "");
  }
  return room - stream_.avail_out;
}

std::size_t InflateReader::read_some(void* to, std::size_t bytes) {
  auto* cursor = static_cast<unsigned char*>(to);
  std::size_t done = 0;
  while (done < bytes && !ended_) done += inflate_step(cursor + done, bytes - done);
  return done;
}

std::uint64_t InflateReader::available(std::uint64_t bytes) {
  if (bytes <= length_ * believed_ratio + chunk) return bytes;
  const std::uint64_t most = (length_ + 1) * largest_ratio;
  if (bytes > most) return std::min(bytes, most);
  InflateReader counter(file_, begin_, length_, compression_);
  std::array<unsigned char, chunk> scratch;
  const std::uint64_t wanted = position() + bytes;
  while (counter.position() < wanted) {
    if (counter.read(scratch.data(), scratch.size()) == 0) break;
  }
  return std::min(bytes, counter.position() - std::min(position(), counter.position()));
}

}  // namespace

std::unique_ptr<ByteReader> inflate_reader(const InputFile& file, std::uint64_t offset, std::uint64_t length,
                                           Compression compression) {
  return std::make_unique<InflateReader>(file, offset, length, compression);
}

}  // namespace chainrule::io
