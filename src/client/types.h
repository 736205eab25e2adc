#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "wire/json.h"

namespace inferq::client {

/// A file of the server.
struct File {
  std::string id;
  std::string filename;
  std::string purpose;
  uint64_t bytes = 0;
  std::optional<base::WallTime> created{};
  std::optional<base::WallTime> expires{};
  std::string json{};  ///< The server's object, on one line.
};

/// Why a batch failed.
struct BatchProblem {
  std::string code;
  std::string message;
  std::string param;             ///< Empty when none.
  std::optional<uint64_t> line;  ///< From 1; unset: of the whole file.
};

struct BatchCounts {
  uint64_t total = 0;
  uint64_t completed = 0;  ///< Succeeded.
  uint64_t failed = 0;
  uint64_t ended() const { return completed + failed; }
};

struct Batch {
  std::string id;
  std::string status;  ///< OpenAI's words: "validating", "in_progress", …
  std::string endpoint{};
  std::string model{};  ///< Empty where the server does not say, as the next three.
  std::string input_file_id{};
  std::string output_file_id{};
  std::string error_file_id{};
  BatchCounts counts{};
  std::vector<BatchProblem> problems{};
  uint64_t input_tokens = 0;
  uint64_t output_tokens = 0;
  std::optional<base::WallTime> created{};
  std::optional<base::WallTime> started{};
  std::optional<base::WallTime> expires{};
  std::optional<base::WallTime> ended_at{};
  // Of inferq; unset where the server does not say.
  bool paused = false;
  std::string retry_of{};
  std::optional<double> seconds_left{};      ///< As likely more as less.
  std::optional<double> seconds_left_p90{};  ///< Hardly more.
  std::string json{};                        ///< The server's object, on one line.

  /// Nothing changes any more.
  bool ended() const;
};

/// A part of a batch's results.
struct Results {
  std::string lines;  ///< As in the output and error files.
  std::string next;   ///< The offset behind them.
  bool has_more = true;
};

// From the server's objects. kUnavailable: it lacks what every server gives (id, and a batch's
// status).

base::Result<File> ParseFile(wire::JsonValue json);
base::Result<Batch> ParseBatch(wire::JsonValue json);

}  // namespace inferq::client
