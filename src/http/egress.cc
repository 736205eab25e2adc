#include "http/egress.h"

#include <algorithm>
#include <span>

namespace inferq::http {
namespace {

template <size_t N>
struct Range {
  std::array<uint8_t, N> begin;
  int bits;  // of the prefix
};

template <size_t N>
bool In(const std::array<uint8_t, N>& address, const Range<N>& range) {
  const auto whole = static_cast<size_t>(range.bits / 8);
  const int rest = range.bits % 8;
  if (!std::equal(address.begin(), address.begin() + whole, range.begin.begin())) return false;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xFF << (8 - rest));
  return (address[whole] & mask) == range.begin[whole];
}

// IANA's registries of special addresses, and groups.
constexpr std::array<Range<4>, 15> kSpecial4 = {{
    {{0}, 8},              // "this network"; 0.0.0.0 connects to this machine
    {{10}, 8},             // private
    {{100, 64}, 10},       // shared with the provider
    {{127}, 8},            // this machine
    {{169, 254}, 16},      // link-local, metadata services of clouds
    {{172, 16}, 12},       // private
    {{192, 0, 0}, 24},     // protocol assignments
    {{192, 0, 2}, 24},     // documentation
    {{192, 88, 99}, 24},   // relays of 6to4
    {{192, 168}, 16},      // private
    {{198, 18}, 15},       // benchmarks
    {{198, 51, 100}, 24},  // documentation
    {{203, 0, 113}, 24},   // documentation
    {{224}, 4},            // groups
    {{240}, 4},            // reserved, broadcast
}};

// Of 2000::/3, which alone is given out.
constexpr Range<16> kGlobal = {{0x20}, 3};
constexpr std::array<Range<16>, 3> kSpecial6 = {{
    {{0x20, 0x01, 0x00}, 23},        // protocol assignments, Teredo
    {{0x20, 0x01, 0x0D, 0xB8}, 32},  // documentation
    {{0x3F, 0xFF, 0x00}, 20},        // documentation
}};

// Where an IPv4 address stands inside one of IPv6.
struct Embedding {
  Range<16> range;
  size_t offset;
};
constexpr std::array<Embedding, 3> kEmbeddings = {{
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 96}, 12},  // ::ffff:a.b.c.d
    {{{0x00, 0x64, 0xFF, 0x9B}, 96}, 12},                    // NAT64
    {{{0x20, 0x02}, 16}, 2},                                 // 6to4
}};

}  // namespace

bool IsPublic(const std::array<uint8_t, 4>& v4) {
  return std::ranges::none_of(kSpecial4, [&](const Range<4>& range) { return In(v4, range); });
}

bool IsPublic(const std::array<uint8_t, 16>& v6) {
  for (const Embedding& embedding : kEmbeddings) {
    if (!In(v6, embedding.range)) continue;
    std::array<uint8_t, 4> v4{};
    std::ranges::copy(std::span(v6).subspan(embedding.offset, v4.size()), v4.begin());
    return IsPublic(v4);
  }
  return In(v6, kGlobal) &&
         std::ranges::none_of(kSpecial6, [&](const Range<16>& range) { return In(v6, range); });
}

}  // namespace inferq::http
