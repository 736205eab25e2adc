#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "engine/engine.h"
#include "http/sse.h"
#include "wire/json.h"

namespace inferq::engine {

/// A request's body as it is sent to have the answer streamed.
struct StreamedBody {
  std::string json;
  bool usage_wanted = false;  ///< The client itself asked for the chunk with the usage.
};
/// Sets `stream`, and include_usage in `stream_options`, so that the usage is always known. Options
/// that are not an object stay as they are, for the server to refuse. Pure.
StreamedBody BodyForStream(wire::JsonValue body);

/// Takes a streamed answer apart as its bytes arrive. Pure. After a failure, or a Delta with
/// finish_reason, call nothing more.
///
/// A chunk is a JSON object with `choices`; other events say nothing to the client and are skipped.
class ChunkReader {
 public:
  /// @param usage_wanted  false: a chunk that brings nothing but the usage is not handed on.
  explicit ChunkReader(bool usage_wanted) : usage_wanted_(usage_wanted) {}

  /// The chunks that `bytes` complete, and the tokens that they count; with [DONE], the last Delta.
  /// What comes after [DONE] is ignored. Fails as the server's error event says; kUnavailable: not
  /// a stream of chunks; kResourceExhausted: an event is too long.
  base::Result<Delta> Feed(std::string_view bytes);
  /// The stream ended without [DONE]: fine when a choice was finished, else kUnavailable.
  base::Result<Delta> End();
  /// Whether a chunk came.
  bool begun() const { return begun_; }

 private:
  base::Result<> Take(http::SseEvent event, Delta& delta);
  base::Result<> TakeChoices(wire::JsonValue choices);
  void TakeUsage(wire::JsonValue usage, Delta& delta);
  base::Result<> Finish(Delta& delta);

  bool usage_wanted_;
  bool begun_ = false;
  http::SseDecoder decoder_;
  std::optional<FinishReason> reason_;
  Usage usage_;
  uint64_t counted_ = 0;  // tokens handed on
};

}  // namespace inferq::engine
