#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace inferq::wire {

enum class JsonType : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

/// With its article, for messages: "an object", "null".
std::string_view JsonTypeName(JsonType type);

struct JsonLimits {
  size_t max_bytes = 64u << 20;
  size_t max_depth = 128;  ///< Of nested arrays and objects; 1..1000.
};

/// A value inside a text that ParseJson found valid: 16 bytes, a view, no tree. The text must
/// outlive it. Reading scans the text again, so nothing is lost of what the client wrote: key
/// order, number text, repeated keys. Calls are safe from any thread.
class JsonValue {
 public:
  JsonType type() const;
  bool is_null() const { return type() == JsonType::kNull; }
  /// As written, without white space around it.
  std::string_view text() const { return text_; }

  // nullopt when the value has another type.

  std::optional<bool> AsBool() const;
  /// Also nullopt when the number is not finite as a double.
  std::optional<double> AsDouble() const;
  /// A number without a fractional part that fits: 5, 5.0 and 5e0 are 5.
  std::optional<int64_t> AsInteger() const;
  /// Escapes resolved; valid UTF-8, possibly with NUL characters.
  std::optional<std::string> AsString() const;
  /// The same without a copy where there are no escapes: a view of the text, else of `decoded`.
  std::optional<std::string_view> AsText(std::string& decoded) const;
  /// The first member of that name; nullopt for other types than objects.
  std::optional<JsonValue> Find(std::string_view key) const;
  /// Empty for other types than arrays.
  std::vector<JsonValue> Elements() const;

 private:
  friend class JsonMembers;
  friend class JsonElements;
  friend base::Result<JsonValue> ParseJson(std::string_view text, const JsonLimits& limits);
  explicit JsonValue(std::string_view text) : text_(text) {}
  std::string_view text_;
};

/// Checks the whole text strictly (RFC 8259: one value, no comments, no trailing commas; valid
/// UTF-8; no half surrogate pairs). Numbers may have any size.
/// @return kInvalidArgument with a sentence that says what is wrong and where that is known;
/// kResourceExhausted:
///         over a limit.
base::Result<JsonValue> ParseJson(std::string_view text, const JsonLimits& limits = {});
/// A temporary would be gone when the value is read.
template <std::same_as<std::string> Temporary>
base::Result<JsonValue> ParseJson(Temporary&& text, const JsonLimits& limits = {}) = delete;

/// Walks the members of an object in written order, those of other types not at all:
/// `for (JsonMembers m(object); m.Next();) Use(m.key(), m.value());`
class JsonMembers {
 public:
  explicit JsonMembers(JsonValue object);
  bool Next();
  bool KeyIs(std::string_view name) const;
  std::string key() const;
  JsonValue value() const { return JsonValue(value_); }

 private:
  std::string_view rest_;
  std::string_view key_;  ///< With its quotes.
  std::string_view value_;
};

/// The same for the elements of an array.
class JsonElements {
 public:
  explicit JsonElements(JsonValue array);
  bool Next();
  JsonValue value() const { return JsonValue(value_); }

 private:
  std::string_view rest_;
  std::string_view value_;
};

/// Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so the
/// result is always valid JSON.
void AppendJsonString(std::string& out, std::string_view text);
std::string JsonString(std::string_view text);
/// The shortest text that reads back as the same double. Not finite: "null".
std::string JsonNumber(double value);

/// Appends the value without white space between tokens; order, strings and numbers as written.
void AppendCompactJson(std::string& out, JsonValue value);
std::string CompactJson(JsonValue value);

/// One change of an object's member.
struct JsonEdit {
  std::string key;
  std::string json;      ///< Valid JSON.
  bool replace = false;  ///< False: only where the member is absent or null.
};
/// The object with the edits, compact. Other members keep their order and text; new ones come last,
/// in order. Of a repeated key, the first is changed and the others dropped.
std::string EditJsonObject(JsonValue object, const std::vector<JsonEdit>& edits);

/// The name of a member that occurs twice, where one does.
std::optional<std::string> RepeatedKey(JsonValue object);

bool IsUtf8(std::string_view text);
/// Every malformed sequence replaced by U+FFFD.
std::string RepairUtf8(std::string_view text);

}  // namespace inferq::wire
