#include "engine/llama/codec.h"

#include <bit>
#include <cstring>

namespace inferq::engine::llama {
namespace {

constexpr uint32_t kKindBits = 2;
constexpr size_t kDoubleBytes = 8;

}  // namespace

void FieldWriter::Varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) out_.push_back(static_cast<char>(value | 0x80));
  out_.push_back(static_cast<char>(value));
}

void FieldWriter::Uint(uint32_t field, uint64_t value) {
  Varint(uint64_t{field} << kKindBits | 0);
  Varint(value);
}

void FieldWriter::Double(uint32_t field, double value) {
  Varint(uint64_t{field} << kKindBits | 1);
  const auto bits = std::bit_cast<uint64_t>(value);
  for (size_t i = 0; i < kDoubleBytes; ++i) out_.push_back(static_cast<char>(bits >> (8 * i)));
}

void FieldWriter::Bytes(uint32_t field, std::string_view value) {
  Varint(uint64_t{field} << kKindBits | 2);
  Varint(value.size());
  out_.append(value);
}

std::optional<uint64_t> FieldReader::ReadVarint() {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    value |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

bool FieldReader::Next() {
  if (!ok_ || rest_.empty()) return false;
  const auto tag = ReadVarint();
  if (!tag || *tag >> kKindBits > UINT32_MAX || (*tag & 3) > 2) return ok_ = false;
  field_ = static_cast<uint32_t>(*tag >> kKindBits);
  kind_ = static_cast<Kind>(*tag & 3);
  return ok_ = ReadValue();
}

bool FieldReader::ReadValue() {
  if (kind_ == Kind::kDouble) {
    if (rest_.size() < kDoubleBytes) return false;
    number_ = 0;
    for (size_t i = 0; i < kDoubleBytes; ++i) {
      number_ |= uint64_t{static_cast<uint8_t>(rest_[i])} << (8 * i);
    }
    rest_.remove_prefix(kDoubleBytes);
    return true;
  }
  const auto value = ReadVarint();
  if (!value) return false;
  number_ = *value;
  if (kind_ == Kind::kUint) return true;
  if (number_ > rest_.size()) return false;
  bytes_ = rest_.substr(0, number_);
  rest_.remove_prefix(number_);
  return true;
}

bool FieldReader::Require(Kind kind) { return ok_ = ok_ && kind_ == kind; }

uint64_t FieldReader::Uint() { return Require(Kind::kUint) ? number_ : 0; }

uint64_t FieldReader::UintUpTo(uint64_t max) {
  const uint64_t value = Uint();
  if (value > max) ok_ = false;
  return ok_ ? value : 0;
}

double FieldReader::Double() { return Require(Kind::kDouble) ? std::bit_cast<double>(number_) : 0; }

std::string_view FieldReader::Bytes() {
  return Require(Kind::kBytes) ? bytes_ : std::string_view();
}

}  // namespace inferq::engine::llama
