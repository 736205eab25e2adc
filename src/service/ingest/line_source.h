#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "wire/chat.h"
#include "wire/locality.h"

namespace inferq::ingest {

enum class Format : uint8_t {
  kAuto,       ///< By content, then by the name's extension.
  kBatch,      ///< OpenAI batch JSONL: one {"custom_id","method","url","body"} per line.
  kCsv,        ///< RFC 4180 with a header row; separator ',' ';' or tab.
  kJsonArray,  ///< One array of objects, strings, or batch lines.
  kJsonl,      ///< One object or string per line.
};
/// "auto", "batch", "csv", "json", "jsonl".
std::string_view FormatName(Format format);
std::optional<Format> ParseFormat(std::string_view name);

/// Reads up to `size` bytes, fewer only when no more are there now; 0 at the end.
using ReadBytes = std::function<base::Result<size_t>(char* out, size_t size)>;
/// Reads a file from its start. The file must outlive the function.
ReadBytes ReadFrom(base::File& file);

/// How rows (CSV, objects, strings) become requests.
struct RowOptions {
  /// The user message (or prompt), with `{{column}}` or `{{ column }}` for a row's values; `\{{` is
  /// a literal
  /// `{{`. Rows that are strings have one column, `text`, which `input` names too. Empty: a
  /// `messages` column (JSON) is sent as the messages, else the column `prompt`, `text` or `input`
  /// as the text, the first there is.
  std::string prompt_template{};
  std::string system{};  ///< System message, as it is; empty: none.
  std::optional<uint64_t> max_tokens{};
  std::optional<double> temperature{};
  std::optional<double> top_p{};
  std::optional<uint64_t> seed{};
  std::string extra_body{};  ///< JSON object whose fields are added to each body; "" is none.
  wire::Endpoint endpoint = wire::Endpoint::kChatCompletions;
};

struct SourceOptions {
  Format format = Format::kAuto;
  std::string file_name{};  ///< For its extension only.
  char separator = 0;       ///< Of CSV: ',' ';' '\t'; 0: from the header row.
  std::string model{};      ///< Of rows, and of batch lines that name none. Rows need it.
  std::optional<wire::Endpoint> batch_endpoint{};  ///< Batch lines of another are bad; unset: any.
  RowOptions row{};
  size_t max_item_bytes = 16u << 20;  ///< Longer ones are bad lines; also the bound of memory used.
  bool keep_columns = false;          ///< Fill Line::columns.
  bool find_repeats = true;           ///< A custom_id that occurred before makes a bad line.
  bool survey = false;  ///< Of batch lines, fill Line::survey and leave Line::json empty.
};

/// One request.
struct Line {
  uint64_t number = 0;  ///< Of the physical line on which it begins, from 1.
  uint64_t offset = 0;  ///< Of its first byte in the input.
  uint64_t length = 0;  ///< Of its bytes in the input, without the line end.
  std::string custom_id{};
  /// The batch line {"custom_id","method","url","body"}: for batch input the bytes as they are,
  /// unless a default was filled in.
  std::string json{};
  std::string
      model{};  ///< Of batch lines: the body's model; empty where the default stands for it.
  wire::PromptSurvey survey{};         ///< Only with SourceOptions::survey.
  std::vector<std::string> blobs{};    ///< The same: stored images that the body names.
  std::vector<std::string> columns{};  ///< The row's values in the order of LineSource::columns().
};

/// What stands in the place of a request that cannot be one. Its neighbours are not touched.
struct BadLine {
  uint64_t number = 0;
  std::string custom_id{};  ///< Empty when not known.
  std::string code{};       ///< Of the Batch API, for example "invalid_json_line".
  std::string message{};    ///< A sentence.
  std::string param{};      ///< The field, empty when none.
};

using Item = std::variant<Line, BadLine>;

/// Reads an input file as requests, one by one, in constant memory but for 32 to 64 bytes per line
/// that tell repeated custom_ids (with SourceOptions::find_repeats). Blank lines are skipped. One
/// thread at a time; calls block as `read` does.
class LineSource {
 public:
  /// Recognises the format and checks the options against the header (or first row).
  /// @return kInvalidArgument: a sentence for the user: empty input, UTF-16, unknown column in the
  /// template (names
  ///         the known ones), no column to use, bad option. Else what `read` failed with.
  static base::Result<std::unique_ptr<LineSource>> Open(ReadBytes read, SourceOptions options);
  virtual ~LineSource() = default;

  /// The next item; nullopt at the end. kInvalidArgument: the rest of the input cannot be told
  /// apart into items (unclosed quote, broken array); else what `read` failed with. Errors repeat.
  virtual base::Result<std::optional<Item>> Next() = 0;
  /// As recognised; never kAuto.
  virtual Format format() const = 0;
  /// Header of a CSV, keys of the first object, "text" for strings, empty for batch lines.
  virtual const std::vector<std::string>& columns() const = 0;
};

}  // namespace inferq::ingest
