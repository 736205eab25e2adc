#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace inferq::engine::llama {

/// Writes fields as (number, kind, value), so that a reader skips the numbers it does not know.
/// Values that equal the default (0, "") need not be written. Field numbers: 1..2^28.
class FieldWriter {
 public:
  void Uint(uint32_t field, uint64_t value);
  void Double(uint32_t field, double value);
  /// Text, bytes, or another writer's output.
  void Bytes(uint32_t field, std::string_view value);

  std::string Take() && { return std::move(out_); }

 private:
  void Varint(uint64_t value);
  std::string out_;
};

/// Reads what FieldWriter wrote; never reads outside `bytes`, whatever is in them.
///   while (reader.Next()) switch (reader.field()) { case 1: id = reader.Uint(); ... }
///   if (!reader.ok()) ...
class FieldReader {
 public:
  explicit FieldReader(std::string_view bytes) : rest_(bytes) {}

  /// Moves to the next field; false at the end or at the first damage.
  bool Next();
  uint32_t field() const { return field_; }
  /// The value. One of another kind damages the reader and gives 0 or "".
  uint64_t Uint();
  double Double();
  std::string_view Bytes();
  /// As Uint, but a value above `max` damages the reader.
  uint64_t UintUpTo(uint64_t max);

  bool ok() const { return ok_; }

 private:
  enum class Kind : uint8_t { kUint = 0, kDouble = 1, kBytes = 2 };

  bool ReadValue();
  std::optional<uint64_t> ReadVarint();
  bool Require(Kind kind);

  std::string_view rest_;
  uint32_t field_ = 0;
  Kind kind_ = Kind::kUint;
  uint64_t number_ = 0;
  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace inferq::engine::llama
