#include "wire/batch_line.h"

#include "wire/embedding.h"
#include "wire/error_map.h"

namespace inferq::wire {

using base::Code;
using base::Fail;

namespace {

using Refusal = std::unexpected<LineError>;

Refusal Refuse(std::string code, std::string param, std::string message) {
  return Refusal(LineError{std::move(code), std::move(message), std::move(param), {}});
}

/// The members of a line, each at most once.
struct Fields {
  std::optional<JsonValue> custom_id, method, url, body;

  std::optional<JsonValue>* Slot(const JsonMembers& member) {
    if (member.KeyIs("custom_id")) return &custom_id;
    if (member.KeyIs("method")) return &method;
    if (member.KeyIs("url")) return &url;
    if (member.KeyIs("body")) return &body;
    return nullptr;
  }
};

std::expected<Fields, LineError> ReadFields(JsonValue object) {
  Fields fields;
  for (JsonMembers member(object); member.Next();) {
    auto* slot = fields.Slot(member);
    if (slot == nullptr) {
      return Refuse(
          "unknown_parameter", member.key(),
          fmt::format("Unknown parameter: '{}'. A line has custom_id, method, url and body.",
                      member.key()));
    }
    if (*slot) {
      return Refuse("invalid_request", member.key(),
                    fmt::format("The parameter '{}' occurs twice.", member.key()));
    }
    *slot = member.value();
  }
  return fields;
}

bool Missing(const std::optional<JsonValue>& value) { return !value || value->is_null(); }

Refusal MissingParameter(std::string_view name) {
  return Refuse("missing_required_parameter", std::string(name),
                fmt::format("Missing required parameter: '{}'.", name));
}

std::expected<std::string, LineError> ReadString(std::string_view name,
                                                 const std::optional<JsonValue>& value) {
  if (Missing(value)) return MissingParameter(name);
  if (auto text = value->AsString()) return *std::move(text);
  return Refuse("invalid_type", std::string(name),
                fmt::format("Invalid type for '{}': expected a string, but got {} instead.", name,
                            JsonTypeName(value->type())));
}

std::expected<std::string, LineError> ReadCustomId(const Fields& fields) {
  auto id = ReadString("custom_id", fields.custom_id);
  if (id && (id->empty() || id->size() > kMaxCustomIdBytes)) {
    return Refuse("invalid_value", "custom_id",
                  fmt::format("'custom_id' has {} bytes, but must have 1 to {}.", id->size(),
                              kMaxCustomIdBytes));
  }
  return id;
}

std::expected<Endpoint, LineError> ReadUrl(const Fields& fields, const BatchLineRules& rules) {
  auto url = ReadString("url", fields.url);
  if (!url) return Refusal(std::move(url).error());
  auto endpoint = ParseEndpoint(*url);
  if (!endpoint) {
    return Refuse("invalid_url", "url",
                  fmt::format("The URL '{}' is not supported. Supported are {}.", *url,
                              SupportedEndpoints()));
  }
  if (rules.endpoint && *rules.endpoint != *endpoint) {
    return Refuse(
        "invalid_url", "url",
        fmt::format(
            "The URL provided for this request does not match the batch endpoint. It is '{}', "
            "the batch's is '{}'.",
            *url, EndpointPath(*rules.endpoint)));
  }
  return *endpoint;
}

/// What of a body a batch fails for. The rest fails the line when it runs.
struct BodyFields {
  std::optional<JsonValue> model, input;
  bool stream = false;
};

BodyFields ReadBody(JsonValue body, Endpoint endpoint) {
  std::string_view input = InputField(endpoint);
  BodyFields fields;
  for (JsonMembers member(body); member.Next();) {
    if (member.KeyIs("model")) fields.model = member.value();
    if (member.KeyIs(input)) fields.input = member.value();
    if (member.KeyIs("stream")) fields.stream = member.value().AsBool().value_or(false);
  }
  return fields;
}

/// As messages name them.
struct Names {
  std::string_view input, endpoint;
};
Names NamesOf(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::kChatCompletions:
      return {"Messages", "Chat Completions"};
    case Endpoint::kCompletions:
      return {"Prompt", "Completions"};
    case Endpoint::kResponses:
      return {"Input", "Responses"};
    case Endpoint::kEmbeddings:
      break;
  }
  return {"Input", "Embeddings"};
}

std::optional<LineError> CheckBody(const BodyFields& fields, Endpoint endpoint,
                                   const BatchLineRules& rules) {
  if (Missing(fields.model)) {
    if (rules.default_model.empty()) {
      return LineError{"invalid_request", "Model parameter is required.", "body.model", {}};
    }
  } else if (fields.model->type() != JsonType::kString || fields.model->text().size() <= 2) {
    return LineError{"invalid_type",
                     "Invalid type for 'body.model': expected the name of a model.",
                     "body.model",
                     {}};
  }
  Names names = NamesOf(endpoint);
  if (Missing(fields.input)) {
    return LineError{"invalid_request",
                     fmt::format("{} parameter is required.", names.input),
                     fmt::format("body.{}", InputField(endpoint)),
                     {}};
  }
  if (!fields.stream) return std::nullopt;
  return LineError{"streaming_unsupported",
                   fmt::format("{}: Streaming is not supported in the Batch API.", names.endpoint),
                   "body.stream",
                   {}};
}

/// All that follows the custom_id, so that the caller can name the line in every error from here.
std::expected<BatchLine, LineError> ReadRest(std::string custom_id, const Fields& fields,
                                             const BatchLineRules& rules) {
  auto method = ReadString("method", fields.method);
  if (!method) return Refusal(std::move(method).error());
  if (*method != "POST") {
    return Refuse("invalid_value", "method",
                  fmt::format("'method' is '{}', but must be 'POST'.", *method));
  }
  auto endpoint = ReadUrl(fields, rules);
  if (!endpoint) return Refusal(std::move(endpoint).error());
  if (Missing(fields.body)) return MissingParameter("body");
  if (fields.body->type() != JsonType::kObject) {
    return Refuse("invalid_type", "body",
                  fmt::format("Invalid type for 'body': expected an object, but got {} instead.",
                              JsonTypeName(fields.body->type())));
  }
  BodyFields body = ReadBody(*fields.body, *endpoint);
  if (auto error = CheckBody(body, *endpoint, rules)) return Refusal(*std::move(error));
  return BatchLine{std::move(custom_id), *endpoint, *fields.body, !Missing(body.model)};
}

}  // namespace

std::expected<BatchLine, LineError> ParseBatchLine(std::string_view text,
                                                   const BatchLineRules& rules) {
  if (text.size() > rules.max_bytes) {
    return Refuse("invalid_request", "",
                  fmt::format("This line has {} bytes; at most {} are allowed.", text.size(),
                              rules.max_bytes));
  }
  auto parsed = ParseJson(text);
  if (!parsed) {
    return Refuse(
        "invalid_json_line", "",
        fmt::format("This line is not parseable as valid JSON. {}", parsed.error().message()));
  }
  if (parsed->type() != JsonType::kObject) {
    return Refuse(
        "invalid_json_line", "",
        fmt::format("This line is {}, but must be an object.", JsonTypeName(parsed->type())));
  }
  auto fields = ReadFields(*parsed);
  if (!fields) return Refusal(std::move(fields).error());
  auto custom_id = ReadCustomId(*fields);
  if (!custom_id) return Refusal(std::move(custom_id).error());
  auto line = ReadRest(*custom_id, *fields, rules);
  if (!line) line.error().custom_id = *custom_id;
  return line;
}

std::string BatchInputLine(std::string_view custom_id, Endpoint endpoint, std::string_view body) {
  std::string out = R"({"custom_id":)";
  out.reserve(body.size() + custom_id.size() + 80);
  AppendJsonString(out, custom_id);
  out.append(R"(,"method":"POST","url":")").append(EndpointPath(endpoint));
  return out.append(R"(","body":)").append(body).append("}");
}

namespace {

std::string LineHead(std::string_view id, std::string_view custom_id) {
  std::string out = R"({"id":)";
  AppendJsonString(out, id);
  out.append(R"(,"custom_id":)");
  AppendJsonString(out, custom_id);
  return out;
}

void AppendBody(std::string& out, std::string_view body) {
  auto parsed = ParseJson(body);
  if (parsed) return AppendCompactJson(out, *parsed);
  AppendJsonString(out, body);
}

std::string TextAt(const std::optional<JsonValue>& object, std::string_view key) {
  auto value = object ? object->Find(key) : std::nullopt;
  return value ? value->AsString().value_or("") : "";
}

std::optional<JsonValue> MemberOf(const std::optional<JsonValue>& object, std::string_view key) {
  auto value = object ? object->Find(key) : std::nullopt;
  return Missing(value) ? std::nullopt : value;
}

}  // namespace

std::string BatchResponseLine(std::string_view id, std::string_view custom_id, int status_code,
                              std::string_view request_id, std::string_view body) {
  std::string out = LineHead(id, custom_id);
  out.reserve(out.size() + body.size() + request_id.size() + 80);
  out.append(fmt::format(R"(,"response":{{"status_code":{},"request_id":)", status_code));
  AppendJsonString(out, request_id);
  out.append(R"(,"body":)");
  AppendBody(out, body);
  return out.append(R"(},"error":null})");
}

std::string BatchResponseLine(std::string_view id, std::string_view custom_id,
                              std::string_view request_id, const base::Error& error) {
  return BatchResponseLine(id, custom_id, ToHttp(error.code()).status, request_id,
                           ErrorEnvelope(error));
}

std::string BatchErrorLine(std::string_view id, std::string_view custom_id, std::string_view code,
                           std::string_view message) {
  std::string out = LineHead(id, custom_id);
  out.append(R"(,"response":null,"error":{"code":)");
  AppendJsonString(out, code);
  out.append(R"(,"message":)");
  AppendJsonString(out, message);
  return out.append("}}");
}

std::string BatchExpiredLine(std::string_view id, std::string_view custom_id) {
  return BatchErrorLine(id, custom_id, "batch_expired",
                        "This request could not be executed before the completion window expired.");
}

base::Result<BatchOutput> ParseBatchOutput(std::string_view line) {
  auto parsed = ParseJson(line);
  if (!parsed)
    return Fail(Code::kDataLoss, "Not a line of a batch's output: {}", parsed.error().message());
  auto custom_id = parsed->Find("custom_id").and_then([](JsonValue v) { return v.AsString(); });
  if (!custom_id)
    return Fail(Code::kDataLoss, "Not a line of a batch's output: it has no custom_id.");
  auto response = MemberOf(*parsed, "response");
  auto error = MemberOf(*parsed, "error");
  auto body = MemberOf(response, "body");
  BatchOutput output;
  output.id = TextAt(*parsed, "id");
  output.custom_id = *custom_id;
  if (!response && !error) {
    return Fail(Code::kDataLoss, "The output of '{}' has neither a response nor an error.",
                *custom_id);
  }
  if (!error) error = MemberOf(body, "error");
  output.error_code = TextAt(error, "code");
  output.error_message = TextAt(error, "message");
  auto status = MemberOf(response, "status_code");
  output.status_code = static_cast<int>(status ? status->AsInteger().value_or(0) : 0);
  output.request_id = TextAt(response, "request_id");
  if (output.status_code >= 400 && output.error_message.empty()) {
    output.error_message = fmt::format("The request failed with status {}.", output.status_code);
  }
  if (!output.succeeded()) return output;
  auto completion = body ? ParseAnswerBody(*body) : Fail(Code::kDataLoss, "it has no body");
  if (!completion) {
    return Fail(Code::kDataLoss, "The output of '{}' cannot be read: {}", *custom_id,
                completion.error().message());
  }
  output.completion = *std::move(completion);
  return output;
}

}  // namespace inferq::wire
