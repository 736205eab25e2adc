#pragma once

#include <string>
#include <string_view>

#include "engine/engine.h"
#include "wire/chat_stream.h"

namespace inferq::api {

// Server-sent events, as the clients of OpenAI's API read them: data lines with JSON, comments, and
// nothing else. An `id:` or `retry:` line breaks some of those clients.

/// "data: {…}\n\n". Line ends in the JSON, which are white space there, become spaces.
void AppendEvent(std::string& out, std::string_view json);
/// A comment, which clients pass over.
inline constexpr std::string_view kKeepAlive = ": keep-alive\n\n";

/// Turns the deltas of an answer into the events of its stream.
class AnswerEvents {
 public:
  explicit AnswerEvents(wire::StreamInfo info);

  /// The events for it, possibly none: the backend's own chunks where it has them, else ours.
  /// Behind the last delta the end, "data: [DONE]".
  std::string Of(const engine::Delta& delta);

 private:
  void AppendOwn(std::string& out, const engine::Delta& delta);

  bool chat_;
  bool include_usage_;
  wire::StreamChunks chunks_;
  bool passed_through_ = false;
  bool began_ = false;
};

}  // namespace inferq::api
