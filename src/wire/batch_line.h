#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "wire/chat.h"
#include "wire/json.h"

namespace inferq::wire {

inline constexpr size_t kMaxCustomIdBytes = 512;
inline constexpr size_t kMaxBatchLineBytes = 16u << 20;

/// Why one line of an input file is refused, in the words of the Batch API.
struct LineError {
  std::string code;       ///< For example "invalid_json_line", "missing_required_parameter".
  std::string message;    ///< A sentence.
  std::string param;      ///< The field, for example "body.model"; empty when none (JSON null).
  std::string custom_id;  ///< Empty when the line's is not known.
};

/// What an input line must meet.
struct BatchLineRules {
  std::optional<Endpoint> endpoint{};  ///< The batch's; unset: any that is supported.
  std::string_view default_model{};    ///< Not empty: body.model may be missing.
  size_t max_bytes = kMaxBatchLineBytes;
};

/// One request of a batch. `body` is a view into the parsed text.
struct BatchLine {
  std::string custom_id;  ///< 1..kMaxCustomIdBytes.
  Endpoint endpoint = Endpoint::kChatCompletions;
  JsonValue body;  ///< An object.
  bool has_model =
      false;  ///< False: body.model is absent or null, and rules.default_model stands for it.
};

/// Reads `{"custom_id","method","url","body"}`. Of the body it checks what a whole batch fails for:
/// model, presence of messages, prompt or input, stream. Other fields of the line are refused by
/// name, repeated ones too.
/// @param text  one line without its line end; must outlive the result.
std::expected<BatchLine, LineError> ParseBatchLine(std::string_view text,
                                                   const BatchLineRules& rules);

/// An input line: the inverse of ParseBatchLine. `body` is compact JSON.
std::string BatchInputLine(std::string_view custom_id, Endpoint endpoint, std::string_view body);

/// `{"id","custom_id","response":{"status_code","request_id","body"},"error":null}`: a line of the
/// output file (status below 400) or of the error file (the body then holds `error`). No line end;
/// one physical line.
/// @param body  JSON; text that is not becomes a JSON string, so that the line is valid in any
/// case.
std::string BatchResponseLine(std::string_view id, std::string_view custom_id, int status_code,
                              std::string_view request_id, std::string_view body);
/// The line of a request that failed with `error`, its status and envelope taken from the table of
/// error_map.h.
std::string BatchResponseLine(std::string_view id, std::string_view custom_id,
                              std::string_view request_id, const base::Error& error);
/// `{"id","custom_id","response":null,"error":{"code","message"}}`: a request that was not run.
std::string BatchErrorLine(std::string_view id, std::string_view custom_id, std::string_view code,
                           std::string_view message);
/// The error line of a request whose window closed: code "batch_expired".
std::string BatchExpiredLine(std::string_view id, std::string_view custom_id);

/// What a line of an output or error file says.
struct BatchOutput {
  std::string id{};
  std::string custom_id{};
  int status_code = 0;  ///< 0: there was no response.
  std::string request_id{};
  std::string error_code{};  ///< Of `error` or of response.body.error; empty on success.
  std::string error_message{};
  Completion completion{};  ///< Empty but on success; of embeddings see ParseEmbeddingBody.
  bool succeeded() const {
    return status_code >= 200 && status_code < 400 && error_message.empty();
  }
};

/// Reads a line that the builders above (or OpenAI's service) wrote: for resumption and for CSV
/// output.
/// @return kDataLoss: not such a line, for example the torn end of a file after a crash.
base::Result<BatchOutput> ParseBatchOutput(std::string_view line);

}  // namespace inferq::wire
