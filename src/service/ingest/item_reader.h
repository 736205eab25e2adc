#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "service/ingest/input.h"

namespace inferq::ingest {

/// The bytes of one JSON value of the input, unchecked.
struct RawItem {
  std::string_view
      text;  ///< Without white space around it. Valid until the next Next(). Empty when too long.
  uint64_t number = 0;  ///< Physical line on which it begins.
  uint64_t offset = 0;
  uint64_t length = 0;
  bool too_long = false;
};

/// Finds where the items of an input begin and end. Memory stays below `max_bytes` and a chunk.
class ItemReader {
 public:
  virtual ~ItemReader() = default;
  /// nullopt at the end. kInvalidArgument: what follows cannot be told apart into items.
  virtual base::Result<std::optional<RawItem>> Next() = 0;
};

/// One item per line; blank lines are skipped.
class JsonLinesReader final : public ItemReader {
 public:
  /// `input` must outlive the reader.
  JsonLinesReader(Input& input, size_t max_bytes) : input_(input), max_bytes_(max_bytes) {}
  base::Result<std::optional<RawItem>> Next() override;

 private:
  /// Length of the line at the front, without its end; npos when it exceeds the limit.
  base::Result<size_t> FindEnd();
  base::Result<RawItem> SkipLongLine();
  void ConsumePending();

  Input& input_;
  const size_t max_bytes_;
  size_t pending_ = 0;  ///< Bytes of the last item, consumed by the next call.
};

/// The elements of one array.
class JsonArrayReader final : public ItemReader {
 public:
  JsonArrayReader(Input& input, size_t max_bytes) : input_(input), max_bytes_(max_bytes) {}
  base::Result<std::optional<RawItem>> Next() override;

 private:
  enum class State : uint8_t { kBefore, kFirst, kBetween, kAfter };

  /// Drops white space. @return the character behind it, nullopt at the end of the input.
  base::Result<std::optional<char>> Peek();
  base::Result<bool> FindElement();
  base::Result<RawItem> TakeElement();
  base::Result<> ExpectEnd();

  Input& input_;
  const size_t max_bytes_;
  State state_ = State::kBefore;
  size_t pending_ = 0;
};

}  // namespace inferq::ingest
