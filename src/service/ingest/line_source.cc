#include "service/ingest/line_source.h"

#include <algorithm>
#include <array>
#include <memory>

#include "service/ingest/csv_reader.h"
#include "service/ingest/id_set.h"
#include "service/ingest/input.h"
#include "service/ingest/item_reader.h"
#include "service/ingest/recognise.h"
#include "service/ingest/row.h"
#include "wire/batch_line.h"
#include "wire/image_blobs.h"

namespace inferq::ingest {

using base::Code;
using base::Fail;
using base::Result;

namespace {

/// What all sources share: the input, the ids met so far, and the first failure, which repeats.
class SourceBase : public LineSource {
 public:
  SourceBase(std::unique_ptr<Input> input, SourceOptions options, Format format)
      : input_(std::move(input)), options_(std::move(options)), format_(format) {}

  Result<std::optional<Item>> Next() final {
    if (failure_) return std::unexpected(*failure_);
    auto item = Read();
    if (!item) failure_ = item.error();
    return item;
  }
  Format format() const final { return format_; }
  const std::vector<std::string>& columns() const final { return columns_; }

 protected:
  virtual Result<std::optional<Item>> Read() = 0;

  Input& input() { return *input_; }
  const SourceOptions& options() const { return options_; }

  Item Bad(uint64_t number, wire::LineError error) const {
    return BadLine{number, std::move(error.custom_id), std::move(error.code),
                   std::move(error.message), std::move(error.param)};
  }
  Item TooLong(uint64_t number, uint64_t length) const {
    return Bad(number, {"invalid_request",
                        fmt::format("This line has {} bytes; at most {} are allowed.", length,
                                    options_.max_item_bytes),
                        "",
                        {}});
  }
  /// The line, or the complaint that its custom_id occurred before.
  Item Once(Line line) {
    if (!options_.find_repeats) return line;
    auto first = ids_.Insert(line.custom_id, line.number);
    if (!first) return line;
    std::string message =
        fmt::format("The custom_id '{}' occurs twice: first on line {}.", line.custom_id, *first);
    return Bad(line.number,
               {"duplicate_custom_id", std::move(message), "custom_id", std::move(line.custom_id)});
  }

  std::vector<std::string> columns_;

 private:
  std::unique_ptr<Input> input_;
  const SourceOptions options_;
  const Format format_;
  IdSet ids_;
  std::optional<base::Error> failure_;
};

std::unique_ptr<ItemReader> MakeReader(Format format, Input& input, size_t max_bytes) {
  if (format == Format::kJsonArray) return std::make_unique<JsonArrayReader>(input, max_bytes);
  return std::make_unique<JsonLinesReader>(input, max_bytes);
}

/// The items of a JSON input, of which one was looked at already.
struct Items {
  std::unique_ptr<ItemReader> reader;
  std::optional<RawItem> first;

  Result<std::optional<RawItem>> Next() {
    if (first) return std::exchange(first, std::nullopt);
    return reader->Next();
  }
};

std::vector<std::string> BlobsOf(std::string_view text, wire::JsonValue body) {
  std::vector<std::string> ids;
  if (!wire::MayNameBlobs(text)) return ids;
  for (wire::BlobReference& reference : wire::FindBlobReferences(body)) {
    ids.push_back(std::move(reference.id));
  }
  return ids;
}

/// Batch lines, one per line or in an array.
class BatchSource final : public SourceBase {
 public:
  BatchSource(std::unique_ptr<Input> input, SourceOptions options, Format format, Items items)
      : SourceBase(std::move(input), std::move(options), format), items_(std::move(items)) {}

 protected:
  Result<std::optional<Item>> Read() override {
    INFERQ_ASSIGN(auto raw, items_.Next());
    if (!raw) return std::nullopt;
    if (raw->too_long) return TooLong(raw->number, raw->length);
    wire::BatchLineRules rules;
    rules.endpoint = options().batch_endpoint;
    rules.default_model = options().model;
    rules.max_bytes = options().max_item_bytes;
    auto parsed = wire::ParseBatchLine(raw->text, rules);
    if (!parsed) return Bad(raw->number, std::move(parsed).error());
    Line line{.number = raw->number, .offset = raw->offset, .length = raw->length};
    if (options().survey) {
      line.survey = wire::SurveyPrompt(parsed->body);
      line.blobs = BlobsOf(raw->text, parsed->body);
    } else {
      line.json = Text(*raw, *parsed);
    }
    if (parsed->has_model) line.model = parsed->body.Find("model")->AsString().value_or("");
    line.custom_id = std::move(parsed->custom_id);
    return Once(std::move(line));
  }

 private:
  std::string Text(const RawItem& raw, const wire::BatchLine& line) const {
    wire::BodyDefaults defaults;
    defaults.model = options().model;
    if (!line.has_model) {
      return wire::BatchInputLine(line.custom_id, line.endpoint,
                                  wire::WithDefaults(line.body, defaults));
    }
    // An array's element may spread over lines; nothing but white space can hold a line end.
    bool one_line = raw.text.find('\n') == raw.text.npos && raw.text.find('\r') == raw.text.npos;
    if (one_line) return std::string(raw.text);
    return wire::BatchInputLine(line.custom_id, line.endpoint, wire::CompactJson(line.body));
  }

  Items items_;
};

/// What CSV and JSON rows share.
class RowSource : public SourceBase {
 public:
  using SourceBase::SourceBase;

 protected:
  Result<> Prepare(std::vector<std::string> columns, std::vector<std::string> hidden = {}) {
    columns_ = std::move(columns);
    INFERQ_ASSIGN(auto builder, RowBuilder::Make(options(), columns_, hidden, format()));
    builder_.emplace(std::move(builder));
    return {};
  }

  std::vector<std::optional<std::string>>& values() { return values_; }

  Item Broken(uint64_t number, std::string message, std::string code = "invalid_request") {
    ++ordinal_;
    std::string custom_id = builder_->has_ids() ? "" : fmt::format("row-{}", ordinal_);
    return Bad(number, {std::move(code), std::move(message), "", std::move(custom_id)});
  }

  /// The item of the row whose values() are set.
  Item Build(Line line) {
    line.custom_id = builder_->CustomId(values_, ++ordinal_);
    auto json = builder_->Build(line.custom_id, values_);
    if (!json) {
      json.error().custom_id = std::move(line.custom_id);
      return Bad(line.number, std::move(json).error());
    }
    line.json = *std::move(json);
    if (options().keep_columns) {
      for (auto& value : std::span(values_).first(columns_.size())) {
        line.columns.push_back(std::move(value).value_or(""));
      }
    }
    if (!builder_->has_ids()) return line;
    return Once(std::move(line));
  }

 private:
  std::optional<RowBuilder> builder_;
  std::vector<std::optional<std::string>> values_;
  uint64_t ordinal_ = 0;
};

class CsvSource final : public RowSource {
 public:
  CsvSource(std::unique_ptr<Input> input, SourceOptions options, char separator)
      : RowSource(std::move(input), std::move(options), Format::kCsv),
        reader_(SourceBase::input(), separator, SourceBase::options().max_item_bytes) {}

  Result<> ReadHeader() {
    INFERQ_ASSIGN(bool found, reader_.Next(record_));
    if (!found) return Fail(Code::kInvalidArgument, "The input is empty.");
    if (!record_.problem.empty())
      return Fail(Code::kInvalidArgument, "The header row: {}", record_.problem);
    INFERQ_ASSIGN(auto columns, CsvColumns(record_.fields));
    return Prepare(std::move(columns));
  }

 protected:
  Result<std::optional<Item>> Read() override {
    INFERQ_ASSIGN(bool found, reader_.Next(record_));
    if (!found) return std::nullopt;
    if (!record_.problem.empty()) return Broken(record_.number, record_.problem);
    if (record_.fields.size() != columns_.size()) {
      return Broken(record_.number, fmt::format("Expected {} columns as in the header, found {}.",
                                                columns_.size(), record_.fields.size()));
    }
    values().resize(columns_.size());
    for (size_t i = 0; i < columns_.size(); ++i) values()[i] = record_.fields[i];
    return Build({.number = record_.number, .offset = record_.offset, .length = record_.length});
  }

 private:
  CsvReader reader_;
  CsvRecord record_;
};

/// Objects and strings, one per line or in an array.
class JsonRowSource final : public RowSource {
 public:
  JsonRowSource(std::unique_ptr<Input> input, SourceOptions options, Format format, Items items)
      : RowSource(std::move(input), std::move(options), format), items_(std::move(items)) {}

  /// The first row tells the columns.
  Result<> ReadFirst() {
    if (!items_.first) return {};
    auto columns = JsonColumns(*items_.first);
    if (!columns) {
      return Fail(Code::kInvalidArgument,
                  "Line {}: {} The first row must be right, since it tells the columns.",
                  items_.first->number, columns.error().message());
    }
    names_ = *columns;
    for (std::string_view name : kIdColumns) {
      if (!strings_ && std::ranges::find(names_, name) == names_.end()) names_.emplace_back(name);
    }
    std::vector<std::string> hidden(names_.begin() + static_cast<ptrdiff_t>(columns->size()),
                                    names_.end());
    return Prepare(*std::move(columns), std::move(hidden));
  }

 protected:
  Result<std::optional<Item>> Read() override {
    INFERQ_ASSIGN(auto raw, items_.Next());
    if (!raw) return std::nullopt;
    if (raw->too_long) {
      return Broken(raw->number, fmt::format("This row has {} bytes; at most {} are allowed.",
                                             raw->length, options().max_item_bytes));
    }
    auto row = wire::ParseJson(raw->text);
    if (!row) {
      return Broken(raw->number,
                    "This row is not parseable as valid JSON. " + row.error().message(),
                    "invalid_json_line");
    }
    if (!TakeValues(*row)) {
      return Broken(raw->number, fmt::format("This row is {}, but the first one was {}.",
                                             wire::JsonTypeName(row->type()),
                                             strings_ ? "a string" : "an object"));
    }
    return Build({.number = raw->number, .offset = raw->offset, .length = raw->length});
  }

 private:
  Result<std::vector<std::string>> JsonColumns(const RawItem& item) {
    if (item.too_long)
      return Fail(Code::kInvalidArgument, "This row has {} bytes, too many.", item.length);
    INFERQ_ASSIGN(auto row, wire::ParseJson(item.text));
    strings_ = row.type() == wire::JsonType::kString;
    if (strings_) return std::vector<std::string>{"text"};
    if (row.type() != wire::JsonType::kObject) {
      return Fail(Code::kInvalidArgument, "A row must be an object or a string, got {}.",
                  wire::JsonTypeName(row.type()));
    }
    if (auto key = wire::RepeatedKey(row))
      return Fail(Code::kInvalidArgument, "The key '{}' occurs twice.", *key);
    std::vector<std::string> keys;
    for (wire::JsonMembers member(row); member.Next();) keys.push_back(member.key());
    return keys;
  }

  /// @return false when the row is of another type than the first.
  bool TakeValues(wire::JsonValue row) {
    values().assign(names_.size(), std::nullopt);
    if (strings_ && row.type() == wire::JsonType::kString) {
      values()[0] = row.AsString();
      return true;
    }
    if (strings_ || row.type() != wire::JsonType::kObject) return false;
    for (wire::JsonMembers member(row); member.Next();) {
      auto column =
          std::ranges::find_if(names_, [&](const std::string& name) { return member.KeyIs(name); });
      if (column == names_.end() || member.value().is_null()) continue;
      auto text = member.value().AsString();
      values()[static_cast<size_t>(column - names_.begin())] =
          text ? *std::move(text) : wire::CompactJson(member.value());
    }
    return true;
  }

  Items items_;
  std::vector<std::string> names_;  ///< Of columns(), then of ids that only later rows may have.
  bool strings_ = false;
};

}  // namespace

Result<std::unique_ptr<LineSource>> LineSource::Open(ReadBytes read, SourceOptions options) {
  auto input = std::make_unique<Input>(std::move(read));
  INFERQ_ASSIGN(Recognised found, Recognise(*input, options));
  if (found.format == Format::kCsv) {
    auto source =
        std::make_unique<CsvSource>(std::move(input), std::move(options), found.separator);
    INFERQ_TRY(source->ReadHeader());
    return source;
  }
  Items items{.reader = MakeReader(found.format, *input, options.max_item_bytes), .first = {}};
  INFERQ_ASSIGN(items.first, items.reader->Next());
  bool array = found.format == Format::kJsonArray;
  if (found.format == Format::kBatch || (array && items.first && IsBatchLine(items.first->text))) {
    return std::make_unique<BatchSource>(std::move(input), std::move(options), found.format,
                                         std::move(items));
  }
  auto source = std::make_unique<JsonRowSource>(std::move(input), std::move(options), found.format,
                                                std::move(items));
  INFERQ_TRY(source->ReadFirst());
  return source;
}

std::string_view FormatName(Format format) {
  switch (format) {
    case Format::kAuto:
      return "auto";
    case Format::kBatch:
      return "batch";
    case Format::kCsv:
      return "csv";
    case Format::kJsonArray:
      return "json";
    case Format::kJsonl:
      return "jsonl";
  }
  return "unknown";
}

std::optional<Format> ParseFormat(std::string_view name) {
  for (Format format :
       {Format::kAuto, Format::kBatch, Format::kCsv, Format::kJsonArray, Format::kJsonl}) {
    if (name == FormatName(format)) return format;
  }
  return std::nullopt;
}

ReadBytes ReadFrom(base::File& file) {
  return [&file, offset = uint64_t{0}](char* out, size_t size) mutable -> Result<size_t> {
    INFERQ_ASSIGN(size_t read, file.ReadAt(offset, out, size));
    offset += read;
    return read;
  };
}

}  // namespace inferq::ingest
