#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "engine/llama/request.h"
#include "wire/choice.h"

// What the server and its engine child say to each other over a Unix stream socket.
//
//   child -> server: Hello or LoadError, once; then Started, Parked, Step and Embedded frames.
//   server -> child: Submit, Embed, Cancel, Stop; closing the socket is Stop as well.
//
// A frame is a length (4 bytes, little endian, of the payload) and a payload: one byte that says
// which message, then fields (codec.h). Both sides trust each other's version (Hello), never each
// other's bytes.
namespace inferq::engine::llama {

inline constexpr uint32_t kProtocolVersion = 4;
inline constexpr size_t kFrameHeaderBytes = 4;
inline constexpr size_t kMaxFrameBytes = size_t{64} << 20;  ///< Payload. A larger one is an error.

/// The model is loaded and requests are welcome.
struct Hello {
  uint32_t version = kProtocolVersion;
  std::string model;            ///< What the file says it is, e.g. "glm4 9B Q4_K - Medium".
  uint64_t context_tokens = 0;  ///< Prompt plus output of one request.
  uint32_t slots = 0;
  uint32_t threads = 0;
  uint32_t batch_tokens = 0;  ///< Most tokens in a step.
  uint64_t vocabulary = 0;
  uint64_t parameters = 0;
  bool has_chat_template = false;
  uint64_t embed_tokens = 0;  ///< Longest input of an embedding.
  friend bool operator==(const Hello&, const Hello&) = default;
};

/// The model cannot be served. The child exits after it.
struct LoadError {
  base::Code code = base::Code::kInvalidArgument;
  std::string message;
  bool permanent = true;  ///< Trying again would end the same way.
  friend bool operator==(const LoadError&, const LoadError&) = default;
};

struct Submit {
  uint64_t id = 0;  ///< Never used before on this connection.
  GenerateRequest request;
  friend bool operator==(const Submit&, const Submit&) = default;
};

/// Ends the request with kCancelled between two steps. Unknown ids are of requests that have just
/// ended.
struct Cancel {
  uint64_t id = 0;
  friend bool operator==(const Cancel&, const Cancel&) = default;
};

struct Stop {
  friend bool operator==(const Stop&, const Stop&) = default;
};

/// Said before the child touches these requests: if it dies from now on, they are suspects.
struct Started {
  std::vector<uint64_t> ids;
  friend bool operator==(const Started&, const Started&) = default;
};

/// These requests wait, prepared or paused, and have no part in what happens until they are Started
/// (again).
struct Parked {
  std::vector<uint64_t> ids;
  friend bool operator==(const Parked&, const Parked&) = default;
};

/// Why a request failed.
struct RequestError {
  base::Code code = base::Code::kInternal;
  std::string message;
  std::string param;  ///< "body.messages", or "".
  friend bool operator==(const RequestError&, const RequestError&) = default;
};

/// What one step gave one of a request's answers. That answer is over when `finish_reason` is set,
/// the request when all its answers are, or with an `error`.
struct SequenceDelta {
  uint64_t id = 0;
  uint32_t choice = 0;  ///< Which of the request's `n` answers.
  std::string text;     ///< Valid UTF-8.
  uint64_t tokens = 0;
  std::optional<FinishReason> finish_reason;
  Usage usage;                                    ///< With finish_reason.
  std::vector<wire::ToolCall> tool_calls = {};    ///< With finish_reason.
  std::vector<wire::TokenLogprob> logprobs = {};  ///< Of the tokens whose text is out now.
  std::optional<RequestError> error;
  friend bool operator==(const SequenceDelta&, const SequenceDelta&);
};

/// What an engine has done in its life, and what it holds now.
struct EngineStats {
  uint64_t steps = 0;
  uint64_t computed_tokens = 0;  ///< Of prompts, what is computed again after a pause included.
  uint64_t shared_tokens = 0;    ///< Of prompts, taken from other sequences.
  uint64_t distinct_tokens = 0;  ///< Of prompts, what a perfect prefix cache would compute.
  uint64_t generated_tokens = 0;
  uint64_t pauses = 0;  ///< Sequences whose cells were given to others, and computed again.
  uint64_t running = 0;
  uint64_t waiting = 0;
  uint64_t kv_used = 0;   ///< Cells, one a token.
  uint64_t kv_cells = 0;  ///< Of them there are.
  bool shared_cache = false;
  friend bool operator==(const EngineStats&, const EngineStats&) = default;
};

/// One engine step: the deltas of all sequences. Sent for steps without any, too: a sign of life.
struct Step {
  std::vector<SequenceDelta> deltas;
  EngineStats stats;
  friend bool operator==(const Step&, const Step&) = default;
};

/// One input of a request for embeddings.
struct EmbedInput {
  uint64_t id = 0;              ///< Of the request.
  uint32_t index = 0;           ///< Its place in the request.
  std::string text;             ///< Or
  std::vector<int32_t> tokens;  ///< these, when not empty.
  uint32_t dimensions = 0;      ///< Of the vector; 0: all.
  friend bool operator==(const EmbedInput&, const EmbedInput&) = default;
};

/// A micro-batch: inputs of one or many requests. Cancel takes a request's inputs out of it.
struct Embed {
  uint64_t batch = 0;  ///< Never used before on this connection.
  std::vector<EmbedInput> inputs;
  friend bool operator==(const Embed&, const Embed&) = default;
};

/// What became of one input.
struct Embedding {
  uint64_t id = 0;
  uint32_t index = 0;
  uint64_t tokens = 0;
  std::vector<float> vector;
  std::optional<RequestError> error;
  friend bool operator==(const Embedding&, const Embedding&) = default;
};

/// What one run of the model gave a micro-batch; `last`: nothing of it is left.
struct Embedded {
  uint64_t batch = 0;
  std::vector<Embedding> results;
  bool last = false;
  friend bool operator==(const Embedded&, const Embedded&) = default;
};

using Message =
    std::variant<Hello, LoadError, Submit, Cancel, Stop, Started, Step, Parked, Embed, Embedded>;

/// @return a whole frame. kResourceExhausted: it would be larger than kMaxFrameBytes.
base::Result<std::string> EncodeFrame(const Message& message);

/// @param payload  of one frame. kDataLoss: not a message, or damaged.
base::Result<Message> DecodePayload(std::string_view payload);

/// Cuts a stream of bytes into payloads. Holds at most one frame and what was appended last.
class FrameReader {
 public:
  void Append(std::string_view bytes);
  /// The next whole payload, valid until the next Append; nullopt: more bytes are needed.
  /// kDataLoss: the length is beyond kMaxFrameBytes; the stream is lost.
  base::Result<std::optional<std::string_view>> Next();

 private:
  std::string buffer_;
  size_t begin_ = 0;
};

}  // namespace inferq::engine::llama
