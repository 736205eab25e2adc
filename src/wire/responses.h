#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "wire/api_error.h"
#include "wire/chat.h"
#include "wire/json.h"

namespace inferq::wire {

/// What stands at the head of a response.
struct ResponseHead {
  std::string id;  ///< Behind "resp_", and in the ids of its items.
  int64_t created = 0;
  std::string model;
  std::string echo;  ///< Of the request (responses_request.h).
};

/// Composes a response of /v1/responses as the answer of its chat comes in, and the events of its
/// stream on the way: JSON objects with `type` and `sequence_number`, the first response.created,
/// the last response.completed or response.incomplete.
///
/// Calls in the order of the answer; Finish is the last.
class ResponseWriter {
 public:
  using Events = std::vector<std::string>;

  explicit ResponseWriter(ResponseHead head) : head_(std::move(head)) {}

  void AddText(std::string_view text, Events& out);
  /// A piece of a call of a function: name and id come with the first.
  void AddCall(int64_t number, const ToolCall& piece, Events& out);
  /// A chunk of the chat's stream, or its whole body: what the first choice says.
  void AddChunk(JsonValue chunk, Events& out);
  void AddBody(JsonValue body, Events& out);
  /// @param finish_reason  the chat's.
  void Finish(std::string_view finish_reason, const TokenUsage& usage, Events& out);

  /// The response as it is now.
  std::string Object() const;

 private:
  struct Item {
    bool call = false;
    int64_t number = 0;  // of a call
    std::string id{};
    std::string text{};  // or the arguments
    std::string call_id{};
    std::string name{};
    bool done = false;
  };
  void Begin(Events& out);
  size_t OpenMessage(Events& out);
  size_t OpenCall(int64_t number, const ToolCall& first, Events& out);
  void Close(size_t index, Events& out);
  void AddDelta(std::string_view type, size_t index, std::string_view delta, Events& out);
  void AddToolCalls(JsonValue message, Events& out);
  void Emit(std::string_view type, std::string_view members, Events& out);
  std::string ItemJson(const Item& item) const;
  std::string Place(size_t index) const;

  ResponseHead head_;
  std::vector<Item> items_;
  std::string status_ = "in_progress";
  std::string incomplete_ = "null";
  std::string usage_ = "null";
  uint64_t events_ = 0;
};

/// OpenAI's `usage` of a response; distinct_tokens is ours.
std::string ResponseUsageJson(const TokenUsage& usage);

/// The event that ends a stream which broke off: response.failed with the response of the first
/// event; without one an error event.
/// @param sequence  number of the event.
std::string FailureEvent(std::string_view first_event, uint64_t sequence, const ApiError& error);

/// Reads a response as others are read: the text of its messages, status and usage.
/// @return kInvalidArgument: not an object with `output`.
base::Result<Completion> ParseResponseBody(JsonValue body);

}  // namespace inferq::wire
