#include "service/run_line.h"

#include "wire/json.h"

namespace inferq::service {
namespace {

void AppendStrings(std::string& out, const std::vector<std::string>& texts) {
  const char* separator = "[";
  for (const std::string& text : texts) {
    out += separator;
    wire::AppendJsonString(out, text);
    separator = ",";
  }
  out += texts.empty() ? "[]" : "]";
}

std::string StringAt(wire::JsonValue object, std::string_view key) {
  auto member = object.Find(key);
  return member ? member->AsString().value_or("") : "";
}

}  // namespace

std::string EncodeRunLine(const RunLine& line) {
  std::string out = R"({"custom_id":)";
  wire::AppendJsonString(out, line.custom_id);
  out += fmt::format(R"(,"line":{})", line.line);
  if (!line.columns.empty()) {
    out += R"(,"columns":)";
    AppendStrings(out, line.columns);
  }
  if (line.bad()) {
    out += R"(,"bad":{"code":)";
    wire::AppendJsonString(out, line.bad_code);
    out += R"(,"message":)";
    wire::AppendJsonString(out, line.bad_message);
    out += "}";
  } else {
    out += R"(,"request":)";
    // Between tokens JSON may hold line breaks; inside strings they are escaped.
    for (char c : line.request) out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out += "}\n";
}

base::Result<RunLine> DecodeRunLine(std::string_view text) {
  auto parsed = wire::ParseJson(text);
  if (!parsed)
    return base::Fail(base::Code::kDataLoss, "a stored line is damaged: {}",
                      parsed.error().message());
  RunLine line;
  line.custom_id = StringAt(*parsed, "custom_id");
  if (auto number = parsed->Find("line"))
    line.line = static_cast<uint64_t>(number->AsInteger().value_or(0));
  if (auto columns = parsed->Find("columns")) {
    for (wire::JsonValue cell : columns->Elements())
      line.columns.push_back(cell.AsString().value_or(""));
  }
  if (auto request = parsed->Find("request")) line.request = request->text();
  if (auto bad = parsed->Find("bad")) {
    line.bad_code = StringAt(*bad, "code");
    line.bad_message = StringAt(*bad, "message");
  }
  if (line.request.empty() && !line.bad()) {
    return base::Fail(base::Code::kDataLoss, "a stored line holds neither a request nor an error");
  }
  return line;
}

base::Result<RunLine> ReadRunLine(blob::BlobStore& blobs, const model::Extent& extent) {
  INFERQ_ASSIGN(std::string text, blobs.Read(extent));
  return DecodeRunLine(text);
}

}  // namespace inferq::service
