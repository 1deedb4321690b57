// SHA-256, as in FIPS 180-4, section 6.2. Chosen over faster hashes because anyone can check it with
// `sha256sum`.

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <chainrule/io.hpp>

#include "io/file.hpp"
#include "io/hash.hpp"

namespace chainrule {
namespace {

// Fractional parts of the cube roots of the first 64 primes (section 4.2.2).
constexpr std::array<std::uint32_t, 64> round_constants = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

constexpr std::size_t block_size = 64;

using State = std::array<std::uint32_t, 8>;

std::uint32_t big_endian(const unsigned char* bytes) {
  return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
         bytes[3];
}

void add_block(State& state, const unsigned char* block) {
  std::array<std::uint32_t, 64> w;
  for (std::size_t t = 0; t < 16; ++t) w[t] = big_endian(block + 4 * t);
  for (std::size_t t = 16; t < 64; ++t) {
    const std::uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ w[t - 15] >> 3;
    const std::uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ w[t - 2] >> 10;
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (std::size_t t = 0; t < 64; ++t) {
    const std::uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const std::uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + round_constants[t] + w[t];
    const std::uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const std::uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const State mixed = {a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < state.size(); ++i) state[i] += mixed[i];
}

// The last block or two: what is left of the message, a 1 bit, zeros, the message's length in bits.
void add_end(State& state, const unsigned char* rest, std::size_t count, std::uint64_t total) {
  std::array<unsigned char, 2 * block_size> end{};
  std::copy(rest, rest + count, end.begin());
  end[count] = 0x80;
  const std::size_t size = count + 9 <= block_size ? block_size : 2 * block_size;
  for (std::size_t i = 0; i < 8; ++i) end[size - 1 - i] = static_cast<unsigned char>(total * 8 >> (8 * i));
  for (std::size_t i = 0; i < size; i += block_size) add_block(state, end.data() + i);
}

std::string hexadecimal(const State& state) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint32_t word : state) {
    for (int shift = 28; shift >= 0; shift -= 4) text += digits[word >> shift & 15];
  }
  return text;
}

}  // namespace

void io::Sha256::add(const void* data, std::size_t bytes) {
  const auto* from = static_cast<const unsigned char*>(data);
  total_ += bytes;
  if (rest_size_ > 0) {
    const std::size_t taken = std::min(bytes, block_size - rest_size_);
    std::memcpy(rest_.data() + rest_size_, from, taken);
    rest_size_ += taken;
    from += taken;
    bytes -= taken;
    if (rest_size_ < block_size) return;
    add_block(state_, rest_.data());
    rest_size_ = 0;
  }
  for (; bytes >= block_size; bytes -= block_size, from += block_size) add_block(state_, from);
  if (bytes > 0) std::memcpy(rest_.data(), from, bytes);
  rest_size_ = bytes;
}

std::string io::Sha256::finish() {
  add_end(state_, rest_.data(), rest_size_, total_);
  return hexadecimal(state_);
}

std::string file_hash(const std::string& path) {
  const io::InputFile file({"file_hash", path});
  io::Sha256 hash;
  std::vector<unsigned char> buffer(std::size_t{1} << 16);
  for (std::uint64_t offset = 0; offset < file.size();) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), file.size() - offset));
    file.read(offset, buffer.data(), count);
    hash.add(buffer.data(), count);
    offset += count;
  }
  return hash.finish();
}

}  // namespace chainrule
