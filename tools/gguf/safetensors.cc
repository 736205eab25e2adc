#include "gguf/safetensors.h"

#include <bit>
#include <cstring>
#include <limits>

#include "wire/json.h"

namespace inferq::gguf {
namespace {

using base::Code;
using base::Fail;
using base::Result;
using wire::JsonValue;

static_assert(std::endian::native == std::endian::little, "values are copied as they are");

/// A number of the header: not negative.
std::optional<uint64_t> Count(const JsonValue& value) {
  std::optional<int64_t> number = value.AsInteger();
  return number && *number >= 0 ? std::optional(static_cast<uint64_t>(*number)) : std::nullopt;
}

/// nullopt unless it is an array of numbers that are not negative.
std::optional<std::vector<uint64_t>> Counts(const std::optional<JsonValue>& value) {
  if (!value || value->type() != wire::JsonType::kArray) return std::nullopt;
  std::vector<uint64_t> counts;
  for (const JsonValue& element : value->Elements()) {
    std::optional<uint64_t> count = Count(element);
    if (!count) return std::nullopt;
    counts.push_back(*count);
  }
  return counts;
}

/// nullopt when it does not fit in 64 bits.
std::optional<uint64_t> BytesOf(const std::vector<uint64_t>& shape) {
  uint64_t bytes = sizeof(float);
  for (uint64_t size : shape) {
    if (size != 0 && bytes > std::numeric_limits<uint64_t>::max() / size) return std::nullopt;
    bytes *= size;
  }
  return bytes;
}

Result<NamedTensor> ParseTensor(const std::string& name, const JsonValue& entry,
                                std::string_view data) {
  std::optional<JsonValue> type = entry.Find("dtype");
  if (!type || type->AsString() != "F32")
    return Fail(Code::kInvalidArgument, "tensor {}: dtype is {}; it must be \"F32\"", name,
                type ? type->text() : "missing");
  auto shape = Counts(entry.Find("shape"));
  auto offsets = Counts(entry.Find("data_offsets"));
  if (!shape || !offsets || offsets->size() != 2)
    return Fail(Code::kInvalidArgument, "tensor {}: shape or data_offsets is missing or no list",
                name);
  uint64_t begin = (*offsets)[0], end = (*offsets)[1];
  if (begin > end || end > data.size())
    return Fail(Code::kInvalidArgument,
                "tensor {}: bytes {} to {} are not in the file, which has {}", name, begin, end,
                data.size());
  if (BytesOf(*shape) != end - begin)
    return Fail(Code::kInvalidArgument, "tensor {}: its shape does not take {} bytes", name,
                end - begin);
  NamedTensor tensor{.shape = *std::move(shape),
                     .values = std::vector<float>((end - begin) / sizeof(float))};
  if (begin != end) std::memcpy(tensor.values.data(), data.data() + begin, end - begin);
  return tensor;
}

}  // namespace

Result<NamedTensors> ParseSafetensors(std::string_view bytes) {
  uint64_t header_bytes = 0;
  if (bytes.size() >= sizeof header_bytes)
    std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  if (bytes.size() < sizeof header_bytes || header_bytes > bytes.size() - sizeof header_bytes)
    return Fail(Code::kInvalidArgument, "no safetensors file: its header does not fit in {} bytes",
                bytes.size());
  std::string_view text = bytes.substr(sizeof header_bytes, header_bytes);
  std::string_view data = bytes.substr(sizeof header_bytes + header_bytes);
  INFERQ_ASSIGN(JsonValue header, wire::ParseJson(text));

  NamedTensors tensors;
  for (wire::JsonMembers member(header); member.Next();) {
    if (member.KeyIs("__metadata__")) continue;
    std::string name = member.key();
    INFERQ_ASSIGN(NamedTensor tensor, ParseTensor(name, member.value(), data));
    if (!tensors.try_emplace(name, std::move(tensor)).second)
      return Fail(Code::kInvalidArgument, "tensor {} comes twice", name);
  }
  return tensors;
}

}  // namespace inferq::gguf
