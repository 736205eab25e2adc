#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"

// What a GGUF file says about itself, read without llama.cpp (which aborts on some damaged files),
// so that a server may look at files of strangers. Versions 2 and 3, little endian.
namespace inferq::engine::llama {

/// More than any model has; a file beyond one of these is refused. Memory and time of reading are
/// bounded by them and by the size of the file, never by a number in it.
struct GgufLimits {
  uint64_t header_bytes = uint64_t{256} << 20;  ///< Keys, values and the list of tensors.
  uint64_t keys = 65'536;
  uint64_t tensors = 65'536;
  uint64_t key_bytes = 65'535;
  uint64_t text_bytes = uint64_t{1} << 20;  ///< Kept of a text; the rest is passed over.
  uint64_t list_items = 4'096;  ///< Longest list of numbers that is kept; of others, the length.
};

/// A list: how many items it has, and the items where they are whole numbers and not too many.
struct GgufList {
  uint64_t count = 0;
  std::vector<int64_t> numbers;
  friend bool operator==(const GgufList&, const GgufList&) = default;
};

/// Whole numbers that are never negative are uint64_t.
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string, GgufList>;

struct GgufTensor {
  std::string name;
  uint32_t type = 0;
  std::array<uint64_t, 4> shape{1, 1, 1, 1};
  uint64_t elements = 0;
  uint64_t offset = 0;  ///< From GgufHeader::data_offset.
  uint64_t bytes = 0;   ///< 0: a type we do not know.
};

/// Everything in front of the weights.
struct GgufHeader {
  uint32_t version = 0;
  std::map<std::string, GgufValue, std::less<>> values;
  std::vector<GgufTensor> tensors;
  uint64_t data_offset = 0;  ///< Where the weights begin.
  uint64_t data_end = 0;     ///< Where the last of them ends: the file is at least that long.

  // nullopt: no such key, or a value of another kind.

  std::optional<uint64_t> Unsigned(std::string_view key) const;
  std::optional<double> Number(std::string_view key) const;
  std::optional<bool> Flag(std::string_view key) const;
  const std::string* Text(std::string_view key) const;
  const GgufList* List(std::string_view key) const;
};

/// Reads a header. Blocks. kInvalidArgument, a sentence with `path`, the byte and the key or
/// tensor: another format or version, damaged, over a limit, or shorter than its weights need.
base::Result<GgufHeader> ReadGgufHeader(base::File& file, const std::string& path,
                                        const GgufLimits& limits = {});

}  // namespace inferq::engine::llama
