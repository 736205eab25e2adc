#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/llama/protocol.h"
#include "wire/chat_stream.h"

namespace inferq::engine::llama {

/// Composes the OpenAI bodies of a request that asks for more than one plain text: several choices,
/// logprobs or calls of tools. They go up as Delta::raw_response or, streamed, Delta::raw_chunks,
/// so that nobody above has to know of these.
class AnswerBody {
 public:
  /// Whether the answers of a request need it.
  static bool IsNeededFor(const wire::GenerateRequest& request);

  /// @param info    id, time and model of the body.
  /// @param stream  chunks are wanted.
  AnswerBody(const wire::GenerateRequest& request, wire::StreamInfo info, bool stream);

  /// Takes in what came of one choice. Chunks are appended to `out` as they are ready.
  void Add(SequenceDelta delta, Delta& out);
  /// All choices are over.
  bool done() const { return finished_ == choices_.size(); }
  /// Completes `out` with the reason of the first choice, the usage of all, and the body or the
  /// last chunk. Only when done.
  void Finish(Delta& out) const;

 private:
  struct Progress {
    wire::Choice choice;
    bool begun = false;  // its first chunk is out
  };
  void Stream(Progress& progress, SequenceDelta& delta, Delta& out) const;

  wire::StreamInfo info_;
  wire::StreamChunks chunks_;
  bool stream_;
  bool logprobs_;
  std::vector<Progress> choices_;
  size_t finished_ = 0;
  std::optional<FinishReason> reason_;  // of the first choice
  Usage usage_;                         // prompt once, output of all
};

}  // namespace inferq::engine::llama
