#include "service/ingest/row.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace inferq::ingest {

using base::Code;
using base::Error;
using base::Fail;
using base::Result;

namespace {

constexpr std::string_view kOpen = "{{";
constexpr std::string_view kClose = "}}";
constexpr std::string_view kEscapedOpen = "\\{{";
constexpr std::array<std::string_view, 3> kTextColumns = {"prompt", "text", "input"};

template <class... Args>
std::unexpected<Error> BadOption(std::string param, fmt::format_string<Args...> format,
                                 Args&&... args) {
  return std::unexpected(
      Error(Code::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...))
          .WithParam(std::move(param)));
}

std::string_view Strip(std::string_view text) {
  constexpr std::string_view kSpace = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

/// "'a', 'b', 'c'", cut where there are very many.
std::string Listed(std::span<const std::string> columns) {
  constexpr size_t kMax = 50;
  std::string out;
  for (const std::string& column : columns.first(std::min(columns.size(), kMax))) {
    out += fmt::format("{}'{}'", out.empty() ? "" : ", ", column);
  }
  if (columns.size() > kMax) out += fmt::format(" and {} more", columns.size() - kMax);
  return out;
}

std::optional<size_t> IndexOf(std::span<const std::string> columns, std::string_view name) {
  auto found = std::ranges::find(columns, name);
  if (found == columns.end()) return std::nullopt;
  return static_cast<size_t>(found - columns.begin());
}

/// Rows that are strings have the one column `text`; `input` is another name of it.
bool AreStrings(std::span<const std::string> columns, Format format) {
  return format != Format::kCsv && columns.size() == 1 && columns[0] == "text";
}

}  // namespace

Result<Template> Template::Parse(std::string_view text, std::span<const std::string> columns,
                                 Format format) {
  Template result;
  Piece piece;
  while (!text.empty()) {
    if (text.starts_with(kEscapedOpen)) {
      piece.literal += kOpen;
      text.remove_prefix(kEscapedOpen.size());
    } else if (text.starts_with(kOpen)) {
      size_t close = text.find(kClose);
      if (close == text.npos) {
        return BadOption(
            "template",
            "The template has a '{{{{' without '}}}}'. For a literal '{{{{' write '\\{{{{'.");
      }
      piece.name = Strip(text.substr(kOpen.size(), close - kOpen.size()));
      piece.column = IndexOf(columns, piece.name);
      if (!piece.column && piece.name == "input" && AreStrings(columns, format)) piece.column = 0;
      if (!piece.column) {
        return BadOption(
            "template",
            "The template names the column '{}', which the input does not have. It has {}.",
            piece.name, Listed(columns));
      }
      result.pieces_.push_back(std::exchange(piece, {}));
      text.remove_prefix(close + kClose.size());
    } else {
      piece.literal.push_back(text.front());
      text.remove_prefix(1);
    }
  }
  result.pieces_.push_back(std::move(piece));
  return result;
}

Result<std::string> Template::Fill(RowValues values) const {
  std::string out;
  for (const Piece& piece : pieces_) {
    out += piece.literal;
    if (!piece.column) continue;
    const auto& value = values[*piece.column];
    if (!value)
      return Fail(Code::kInvalidArgument, "The row has no '{}', which the template names.",
                  piece.name);
    out += *value;
  }
  return out;
}

Result<> RowBuilder::ChooseInput(const SourceOptions& options, std::span<const std::string> columns,
                                 Format format) {
  if (!options.row.prompt_template.empty()) {
    INFERQ_ASSIGN(template_, Template::Parse(options.row.prompt_template, columns, format));
    return {};
  }
  messages_column_ = IndexOf(columns, "messages");
  if (messages_column_ && endpoint_ != wire::Endpoint::kChatCompletions) {
    return BadOption(
        "endpoint", "The column 'messages' is for {}; for {} give a template or a column 'prompt'.",
        wire::EndpointPath(wire::Endpoint::kChatCompletions), wire::EndpointPath(endpoint_));
  }
  if (messages_column_) return {};
  for (std::string_view name : kTextColumns) {
    if (!IndexOf(columns, name)) continue;
    INFERQ_ASSIGN(template_, Template::Parse(fmt::format("{{{{{}}}}}", name), columns, format));
    return {};
  }
  return BadOption("template",
                   "Which column is the prompt? Give a template such as '{{{{{}}}}}', or name a "
                   "column 'prompt', "
                   "'text', 'input' or 'messages'. The input has {}.",
                   columns.empty() ? "column" : columns[0], Listed(columns));
}

namespace {

Result<> CheckRanges(const RowOptions& row) {
  auto outside = [](std::optional<double> value, double max) {
    return value && !(*value >= 0 && *value <= max);
  };
  if (outside(row.temperature, 2))
    return BadOption("temperature", "temperature is {}, but must be from 0 to 2.",
                     *row.temperature);
  if (outside(row.top_p, 1))
    return BadOption("top_p", "top_p is {}, but must be from 0 to 1.", *row.top_p);
  if (row.max_tokens && *row.max_tokens == 0)
    return BadOption("max_tokens", "max_tokens is 0, but must be at least 1.");
  constexpr auto kMaxSeed = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (row.seed && *row.seed > kMaxSeed)
    return BadOption("seed", "seed is {}, but must be at most {}.", *row.seed, kMaxSeed);
  return {};
}

/// Fields that the rows themselves decide.
Result<> CheckExtra(wire::JsonValue extra) {
  if (extra.type() != wire::JsonType::kObject) {
    return BadOption("extra_body", "The extra body must be a JSON object, got {}.",
                     wire::JsonTypeName(extra.type()));
  }
  for (wire::JsonMembers member(extra); member.Next();) {
    for (std::string_view taken : {"model", "messages", "prompt", "input"}) {
      if (member.KeyIs(taken))
        return BadOption("extra_body", "The extra body must not set '{}'.", taken);
    }
    if (member.KeyIs("stream") && member.value().AsBool() != false) {
      return BadOption("extra_body",
                       "The extra body must not set 'stream': batch work is not streamed.");
    }
  }
  return {};
}

/// The fields beside model and input, as an object; the extra body's win over the options.
Result<std::string> OtherFields(const RowOptions& row) {
  std::string_view text =
      row.extra_body.empty() ? std::string_view("{}") : std::string_view(row.extra_body);
  auto extra = wire::ParseJson(text);
  if (!extra)
    return BadOption("extra_body", "The extra body is not valid JSON. {}", extra.error().message());
  INFERQ_TRY(CheckExtra(*extra));
  if (row.endpoint == wire::Endpoint::kEmbeddings) {
    if (row.max_tokens || row.temperature || row.top_p) {
      return BadOption("endpoint", "{} knows no max_tokens, temperature and top_p: leave them out.",
                       wire::EndpointPath(row.endpoint));
    }
    return wire::CompactJson(*extra);
  }
  wire::BodyDefaults defaults;
  defaults.max_tokens = row.max_tokens;
  defaults.temperature = row.temperature;
  defaults.top_p = row.top_p;
  defaults.seed = row.seed;
  return wire::WithDefaults(*extra, defaults);
}

}  // namespace

Result<> RowBuilder::ComposeBody(const SourceOptions& options) {
  bool chat = endpoint_ == wire::Endpoint::kChatCompletions;
  if (options.model.empty()) return BadOption("model", "Name the model that the rows are for.");
  if (!chat && !options.row.system.empty()) {
    return BadOption("system", "A system message needs {}.",
                     wire::EndpointPath(wire::Endpoint::kChatCompletions));
  }
  INFERQ_TRY(CheckRanges(options.row));
  INFERQ_ASSIGN(std::string others, OtherFields(options.row));
  if (!options.row.system.empty()) {
    system_message_ =
        fmt::format(R"({{"role":"system","content":{}}})", wire::JsonString(options.row.system));
  }
  body_head_ = fmt::format(R"({{"model":{},"{}":)", wire::JsonString(options.model),
                           wire::InputField(endpoint_));
  body_tail_ = others == "{}" ? "}" : "," + others.substr(1);
  return {};
}

Result<RowBuilder> RowBuilder::Make(const SourceOptions& options,
                                    std::span<const std::string> columns,
                                    std::span<const std::string> hidden, Format format) {
  RowBuilder builder;
  builder.endpoint_ = options.row.endpoint;
  INFERQ_TRY(builder.ComposeBody(options));
  INFERQ_TRY(builder.ChooseInput(options, columns, format));
  for (std::string_view name : kIdColumns) {
    if (auto index = IndexOf(columns, name)) builder.id_columns_.push_back(*index);
    if (auto index = IndexOf(hidden, name)) builder.id_columns_.push_back(columns.size() + *index);
  }
  return builder;
}

std::string RowBuilder::CustomId(RowValues values, uint64_t ordinal) const {
  for (size_t column : id_columns_) {
    if (values[column] && !values[column]->empty()) return *values[column];
  }
  return fmt::format("row-{}", ordinal);
}

std::expected<std::string, wire::LineError> RowBuilder::InputJson(RowValues values) const {
  if (messages_column_) {
    const auto& value = values[*messages_column_];
    std::string_view text = value ? std::string_view(*value) : std::string_view();
    auto messages = wire::ParseJson(text);
    if (!messages || messages->type() != wire::JsonType::kArray) {
      std::string why = messages ? "it is not an array" : messages.error().message();
      return std::unexpected(wire::LineError{"invalid_request",
                                             "The column 'messages' must be a JSON array: " + why,
                                             "body.messages",
                                             {}});
    }
    std::string list = wire::CompactJson(*messages);
    if (!system_message_.empty()) list.insert(1, system_message_ + (list == "[]" ? "" : ","));
    return list;
  }
  auto text = template_.Fill(values);
  if (!text)
    return std::unexpected(wire::LineError{"invalid_request", text.error().message(), "", {}});
  if (endpoint_ != wire::Endpoint::kChatCompletions) return wire::JsonString(*text);
  std::string list = "[" + system_message_;
  list.append(system_message_.empty() ? "" : ",").append(R"({"role":"user","content":)");
  wire::AppendJsonString(list, *text);
  return list.append("}]");
}

std::expected<std::string, wire::LineError> RowBuilder::Build(const std::string& custom_id,
                                                              RowValues values) const {
  if (custom_id.size() > wire::kMaxCustomIdBytes) {
    return std::unexpected(
        wire::LineError{"invalid_value",
                        fmt::format("The row's id has {} bytes; at most {} are allowed.",
                                    custom_id.size(), wire::kMaxCustomIdBytes),
                        "custom_id",
                        {}});
  }
  auto input = InputJson(values);
  if (!input) return input;
  return wire::BatchInputLine(custom_id, endpoint_, body_head_ + *input + body_tail_);
}

}  // namespace inferq::ingest
