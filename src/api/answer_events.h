#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/engine.h"
#include "wire/api_error.h"
#include "wire/chat_stream.h"

namespace inferq::api {

// Server-sent events, as the clients of OpenAI's API read them: data lines with JSON, comments,
// and, of responses alone, the type of the event. An `id:` or `retry:` line breaks some of those
// clients.

/// "data: {…}\n\n". Line ends in the JSON, which are white space there, become spaces.
void AppendEvent(std::string& out, std::string_view json);
/// A comment, which clients pass over.
inline constexpr std::string_view kKeepAlive = ": keep-alive\n\n";

/// Turns the deltas of an answer into the events of its stream.
class AnswerEvents {
 public:
  explicit AnswerEvents(wire::StreamInfo info);

  /// The events for it, possibly none: the backend's own chunks where it has them, those of its
  /// whole answer, else ours. Behind the last delta of chats and completions the end,
  /// "data: [DONE]".
  std::string Of(const engine::Delta& delta);
  /// What a client is told that has got a part of the answer.
  std::string OfFailure(const wire::ApiError& error) const;

 private:
  void AppendChunk(std::string& out, const std::string& chunk);
  void AppendWhole(std::string& out, const std::string& body);
  void AppendOwn(std::string& out, const engine::Delta& delta);

  wire::StreamInfo info_;
  wire::StreamChunks chunks_;
  bool passed_through_ = false;
  bool began_ = false;
  std::string first_response_;  // of /v1/responses: the first event
  uint64_t events_ = 0;
};

}  // namespace inferq::api
