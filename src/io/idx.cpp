// IDX: two zero bytes, the element type, the rank, that many lengths of 4 bytes, the elements. Big endian.

#include <array>
#include <string>

#include <chainrule/io.hpp>

#include "io/elements.hpp"
#include "io/file.hpp"

namespace chainrule {
namespace {

using io::ByteReader;
using io::WireType;

WireType wire_type(const ByteReader& reader, int code) {
  switch (code) {
    case 0x08:
      return WireType::uint8;
    case 0x09:
      return WireType::int8;
    case 0x0b:
      return WireType::int16;
    case 0x0c:
      return WireType::int32;
    case 0x0d:
      return WireType::float32;
    case 0x0e:
      return WireType::float64;
    default:
      break;
  }
  reader.context().fail(2, "an IDX element type that does not exist", std::to_string(code),
                        "8 (uint8), 9 (int8), 11 (int16), 12 (int32), 13 (float32) or 14 (float64)");
}

Shape read_shape(ByteReader& reader, int rank) {
  if (rank > max_rank) {
    reader.context().fail(3, "too many dimensions", std::to_string(rank),
                          "at most " + std::to_string(max_rank));
  }
  Shape shape;
  for (int i = 0; i < rank; ++i) {
    std::array<unsigned char, 4> bytes{};
    reader.read_exactly(bytes.data(), bytes.size(), "the IDX header");
    std::int64_t length = 0;
    for (const unsigned char byte : bytes) length = length * 256 + byte;
    shape.push_back(length);
  }
  return shape;
}

HostArray read_idx(ByteReader& reader) {
  std::array<unsigned char, 4> head{};
  reader.read_exactly(head.data(), head.size(), "the IDX header");
  if (head[0] != 0 || head[1] != 0) {
    reader.context().fail(0, "not in IDX format", std::to_string(head[0]) + ", " + std::to_string(head[1]),
                          "two zero bytes, or gzip's 31, 139");
  }
  const WireType type = wire_type(reader, head[2]);
  const Shape shape = read_shape(reader, head[3]);
  HostArray array = io::read_array(reader, {type, true}, shape, "the IDX array");
  reader.expect_end("the IDX array");
  return array;
}

}  // namespace

HostArray load_idx(const std::string& path) {
  const io::InputFile file({"load_idx", path});
  std::array<unsigned char, 2> magic{};
  if (file.size() >= magic.size()) file.read(0, magic.data(), magic.size());
  const bool is_gzip = magic[0] == 0x1f && magic[1] == 0x8b;
  const auto reader = is_gzip ? io::inflate_reader(file, 0, file.size(), io::Compression::gzip)
                              : io::file_range_reader(file, 0, file.size());
  return read_idx(*reader);
}

}  // namespace chainrule
