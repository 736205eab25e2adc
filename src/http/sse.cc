#include "http/sse.h"

namespace inferq::http {

void SseDecoder::Feed(std::string_view bytes) {
  buffer_.erase(0, at_);
  searched_ -= at_;
  at_ = 0;
  buffer_.append(bytes);
}

// A line without its end: LF, CR LF or CR. A CR at the very end waits: its LF may follow.
std::optional<std::string_view> SseDecoder::NextLine() {
  std::string_view all = buffer_;
  size_t end = std::min(all.find_first_of("\r\n", searched_), all.size());
  searched_ = end;
  if (end == all.size() || (all[end] == '\r' && end + 1 == all.size())) return std::nullopt;
  std::string_view line = all.substr(at_, end - at_);
  at_ = end + (all.substr(end).starts_with("\r\n") ? 2 : 1);
  searched_ = at_;
  return line;
}

void SseDecoder::TakeField(std::string_view line) {
  size_t colon = std::min(line.find(':'), line.size());
  std::string_view name = line.substr(0, colon);
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "event") event_.type = value;
  if (name != "data") return;
  if (std::exchange(has_data_, true)) event_.data += '\n';
  event_.data += value;
}

base::Result<> SseDecoder::CheckSize(size_t line) const {
  if (event_.data.size() + line <= max_event_) return {};
  return base::Fail(base::Code::kResourceExhausted,
                    "an event of the stream is longer than {} bytes", max_event_);
}

base::Result<std::optional<SseEvent>> SseDecoder::Next() {
  while (auto line = NextLine()) {
    INFERQ_TRY(CheckSize(line->size()));
    if (std::exchange(at_start_, false) && line->starts_with("\xEF\xBB\xBF"))
      line->remove_prefix(3);
    if (!line->empty()) {
      TakeField(*line);
    } else {
      SseEvent event = std::exchange(event_, {});
      if (std::exchange(has_data_, false)) return event;
    }
  }
  size_t waiting_cr = buffer_.ends_with('\r') && at_ < buffer_.size() ? 1 : 0;
  INFERQ_TRY(CheckSize(buffer_.size() - at_ - waiting_cr));
  return std::nullopt;
}

}  // namespace inferq::http
