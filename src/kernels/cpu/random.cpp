#include "kernels/cpu/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/random.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/random-inl.h"
#include "kernels/parallel.hpp"

#if HWY_ONCE
namespace chainrule::kernels {

HWY_EXPORT(philox_words);
HWY_EXPORT(uniform_of_words);
HWY_EXPORT(bernoulli_of_words);
HWY_EXPORT(normal_of_words);

namespace {

constexpr std::int64_t chunk_blocks = 256;    // blocks made at once: 4 KiB of words
constexpr std::int64_t random_grain = 16384;  // elements that are worth handing to a thread

/// The counter's last word says what a block is for; the streams never meet.
constexpr std::uint32_t fold_stream = 1;
constexpr std::uint32_t split_stream = 2;

PhiloxKey key_words(std::int64_t key) {
  const auto bits = static_cast<std::uint64_t>(key);
  return {static_cast<std::uint32_t>(bits), static_cast<std::uint32_t>(bits >> 32)};
}

std::int64_t derived_key(std::int64_t key, std::int64_t data, std::uint32_t stream) {
  const PhiloxKey low_high = key_words(data);
  const PhiloxCounter words = philox_block({low_high[0], low_high[1], 0, stream}, key_words(key));
  return static_cast<std::int64_t>(std::uint64_t{words[1]} << 32 | words[0]);
}

/// Cuts positions [offset, offset + n) into chunks and calls
/// consume(words, elements made, elements to skip, elements to keep, first kept element's place in out),
/// where `words` are those of whole blocks with `per_block` elements each.
template <std::int64_t per_block, typename Consume>
void for_each_chunk(std::int64_t key, std::int64_t offset, std::int64_t n, Consume&& consume) {
  constexpr std::int64_t chunk = chunk_blocks * per_block;
  const auto start = static_cast<std::uint64_t>(offset);
  const auto lead = static_cast<std::int64_t>(start % per_block);  // made, but before the first one wanted
  const std::uint64_t first_block = start / per_block;
  const std::int64_t chunks = (lead + n + chunk - 1) / chunk;
  parallel_for(chunks, random_grain / chunk, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) std::uint32_t words[chunk_blocks * 4];
    for (std::int64_t c = begin; c < end; ++c) {
      const std::int64_t from = std::max(c * chunk, lead);
      const std::int64_t to = std::min((c + 1) * chunk, lead + n);
      const std::int64_t blocks = (to - c * chunk + per_block - 1) / per_block;
      HWY_DYNAMIC_DISPATCH(philox_words)
      (key_words(key), first_block + static_cast<std::uint64_t>(c * chunk_blocks), blocks, words);
      consume(words, blocks * per_block, from - c * chunk, to - from, from - lead);
    }
  });
}

/// A uniform double of two words: 53 of their bits.
std::uint64_t fifty_three_bits(const std::uint32_t* words) {
  return (std::uint64_t{words[1]} << 32 | words[0]) >> 11;
}

}  // namespace

PhiloxCounter philox(PhiloxCounter counter, PhiloxKey key) { return philox_block(counter, key); }

void random_bits(std::int64_t key, std::int64_t offset, std::int64_t n, std::uint32_t* out) {
  if (n <= 0) return;
  for_each_chunk<4>(key, offset, n,
                    [&](const std::uint32_t* words, std::int64_t, std::int64_t skip, std::int64_t take,
                        std::int64_t place) { std::copy_n(words + skip, take, out + place); });
}

void random_uniform(std::int64_t key, std::int64_t offset, std::int64_t n, float* out) {
  if (n <= 0) return;
  for_each_chunk<4>(key, offset, n,
                    [&](const std::uint32_t* words, std::int64_t, std::int64_t skip, std::int64_t take,
                        std::int64_t place) {
                      HWY_DYNAMIC_DISPATCH(uniform_of_words)(words + skip, take, out + place);
                    });
}

void random_uniform(std::int64_t key, std::int64_t offset, std::int64_t n, double* out) {
  if (n <= 0) return;
  for_each_chunk<2>(key, offset, n,
                    [&](const std::uint32_t* words, std::int64_t, std::int64_t skip, std::int64_t take,
                        std::int64_t place) {
                      for (std::int64_t i = 0; i < take; ++i) {
                        const std::uint64_t bits = fifty_three_bits(words + 2 * (skip + i));
                        out[place + i] = static_cast<double>(bits) * 0x1p-53;
                      }
                    });
}

void random_normal(std::int64_t key, std::int64_t offset, std::int64_t n, float* out) {
  if (n <= 0) return;
  for_each_chunk<4>(key, offset, n,
                    [&](const std::uint32_t* words, std::int64_t made, std::int64_t skip, std::int64_t take,
                        std::int64_t place) {
                      alignas(64) float normals[chunk_blocks * 4];
                      HWY_DYNAMIC_DISPATCH(normal_of_words)(words, made, normals);
                      std::copy_n(normals + skip, take, out + place);
                    });
}

void random_normal(std::int64_t key, std::int64_t offset, std::int64_t n, double* out) {
  if (n <= 0) return;
  for_each_chunk<2>(key, offset, n,
                    [&](const std::uint32_t* words, std::int64_t made, std::int64_t skip, std::int64_t take,
                        std::int64_t place) {
                      double normals[chunk_blocks * 2];
                      for (std::int64_t i = 0; i < made; i += 2) {
                        const double u =
                            (static_cast<double>(fifty_three_bits(words + 2 * i)) + 0.5) * 0x1p-53;
                        const double v = static_cast<double>(fifty_three_bits(words + 2 * i + 2)) * 0x1p-53;
                        const double r = std::sqrt(-2 * std::log(u));
                        const double angle = 2 * std::numbers::pi * v;
                        normals[i] = r * std::cos(angle);
                        normals[i + 1] = r * std::sin(angle);
                      }
                      std::copy_n(normals + skip, take, out + place);
                    });
}

void random_bernoulli(std::int64_t key, std::int64_t offset, std::int64_t n, double p, std::uint8_t* out) {
  if (n <= 0) return;
  const double scaled = p > 0 ? std::round(std::min(p, 1.0) * 0x1p32) : 0;
  if (scaled >= 0x1p32) {
    std::fill_n(out, n, std::uint8_t{1});
    return;
  }
  const auto threshold = static_cast<std::uint32_t>(scaled);
  for_each_chunk<4>(key, offset, n,
                    [&](const std::uint32_t* words, std::int64_t, std::int64_t skip, std::int64_t take,
                        std::int64_t place) {
                      HWY_DYNAMIC_DISPATCH(bernoulli_of_words)(words + skip, take, threshold, out + place);
                    });
}

std::int64_t fold_in(std::int64_t key, std::int64_t data) { return derived_key(key, data, fold_stream); }

void split(std::int64_t key, std::int64_t n, std::int64_t* out) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = derived_key(key, i, split_stream);
}

}  // namespace chainrule::kernels
#endif
