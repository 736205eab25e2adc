#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace inferq::http {

/// Where a part of multipart/form-data begins (RFC 7578).
struct PartBegin {
  std::string name;
  std::optional<std::string> filename;  ///< Set for files; UTF-8, without folders.
  std::string content_type;
};
struct PartData {
  std::string bytes;  ///< Not empty; not all of the part.
};
struct PartEnd {};
using MultipartEvent = std::variant<PartBegin, PartData, PartEnd>;

/// The boundary of a Content-Type, or kInvalidArgument when that is not multipart/form-data with
/// one (1..70 characters).
base::Result<std::string> MultipartBoundary(std::string_view content_type);

/// Reads multipart/form-data that comes in pieces, holding back no more than a boundary's length of
/// its data. Names are taken as browsers write them (`"` as %22 or \"); `filename*` is ignored.
class MultipartReader {
 public:
  static constexpr size_t kMaxPartHead = 8u << 10;
  static constexpr size_t kMaxParts = 64;

  explicit MultipartReader(std::string boundary);
  /// What the next bytes of the body bring. kInvalidArgument: malformed, with a sentence.
  base::Result<std::vector<MultipartEvent>> Feed(std::string_view bytes);
  /// After the last byte. kInvalidArgument: the closing boundary is missing.
  base::Result<> Finish() const;

 private:
  enum class State : uint8_t { kPreamble, kDelimiter, kHead, kData, kEpilogue };

  // Each takes what it can off the buffer. @return whether to go on with what is left.
  base::Result<bool> Step(std::vector<MultipartEvent>& events);
  base::Result<bool> TakeData(std::vector<MultipartEvent>& events);
  base::Result<bool> TakeDelimiter();
  base::Result<bool> TakeHead(std::vector<MultipartEvent>& events);

  std::string delimiter_;  // "\r\n--boundary"
  State state_ = State::kPreamble;
  std::string buffer_;
  size_t parts_ = 0;
};

}  // namespace inferq::http
