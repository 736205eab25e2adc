#pragma once

#include <array>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "service/ingest/line_source.h"
#include "wire/batch_line.h"

namespace inferq::ingest {

/// Columns that name a row, the first before the second.
inline constexpr std::array<std::string_view, 2> kIdColumns = {"custom_id", "id"};

/// A row's values in the order of the columns; unset: the row has none (JSON objects only).
using RowValues = std::span<const std::optional<std::string>>;

/// `{{column}}` placeholders, resolved once.
class Template {
 public:
  /// @return kInvalidArgument: an unclosed placeholder, or a column that is not there (names those
  /// that are).
  static base::Result<Template> Parse(std::string_view text, std::span<const std::string> columns,
                                      Format format);
  /// @return kInvalidArgument: the row lacks a value, names the column.
  base::Result<std::string> Fill(RowValues values) const;

 private:
  struct Piece {
    std::string literal;
    std::optional<size_t> column;  ///< Comes behind the literal.
    std::string name;
  };
  std::vector<Piece> pieces_;
};

/// Turns rows into batch lines.
class RowBuilder {
 public:
  /// Checks the options against the columns.
  /// @param columns  of the input, or {"text"} for strings.
  /// @param hidden  names whose values rows have behind those of the columns: ids that only later
  /// rows may have.
  /// @return kInvalidArgument with a sentence, param names the option.
  static base::Result<RowBuilder> Make(const SourceOptions& options,
                                       std::span<const std::string> columns,
                                       std::span<const std::string> hidden, Format format);

  /// @param ordinal  number of the row from 1, for rows without an id.
  std::string CustomId(RowValues values, uint64_t ordinal) const;
  /// Whether rows name their own ids, so that one could be there twice.
  bool has_ids() const { return !id_columns_.empty(); }
  /// The batch line of a row.
  std::expected<std::string, wire::LineError> Build(const std::string& custom_id,
                                                    RowValues values) const;

 private:
  RowBuilder() = default;
  base::Result<> ChooseInput(const SourceOptions& options, std::span<const std::string> columns,
                             Format format);
  base::Result<> ComposeBody(const SourceOptions& options);
  std::expected<std::string, wire::LineError> InputJson(RowValues values) const;

  Template template_;
  std::optional<size_t> messages_column_;  ///< Set: its JSON is used, not the template.
  std::vector<size_t> id_columns_;         ///< The first one that has a value counts.
  wire::Endpoint endpoint_ = wire::Endpoint::kChatCompletions;
  std::string system_message_;  ///< JSON of the message; empty: none.
  std::string body_head_;       ///< The body up to the messages or prompt …
  std::string body_tail_;       ///< … and from behind them.
};

}  // namespace inferq::ingest
