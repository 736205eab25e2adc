#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace inferq::http {

/// One server-sent event that carries data.
struct SseEvent {
  std::string type;  ///< "" where the stream names none ("message" then).
  std::string data;  ///< Its data lines, joined by '\n'.
};

/// Takes a text/event-stream apart as its bytes arrive. Comments, ids, retries and events without
/// data give nothing. What stands after the last blank line is not an event: the end of the stream
/// is for the protocol above to judge ("[DONE]").
class SseDecoder {
 public:
  explicit SseDecoder(size_t max_event = 16u << 20) : max_event_(max_event) {}

  void Feed(std::string_view bytes);
  /// The next whole event; nullopt: more bytes are needed. kResourceExhausted: its data and the
  /// line that comes are longer than max_event together, in however many pieces they arrive.
  base::Result<std::optional<SseEvent>> Next();

 private:
  std::optional<std::string_view> NextLine();
  void TakeField(std::string_view line);
  base::Result<> CheckSize(size_t line) const;

  size_t max_event_;
  std::string buffer_;
  size_t at_ = 0;         // read so far
  size_t searched_ = 0;   // no line ends between at_ and here
  bool at_start_ = true;  // a byte order mark may come
  bool has_data_ = false;
  SseEvent event_;
};

}  // namespace inferq::http
