#include "wire/choice.h"

#include <algorithm>
#include <set>

namespace inferq::wire {
namespace {

constexpr double kLeastLogprob = -9999;

std::string LogprobNumber(double logprob) { return JsonNumber(std::max(logprob, kLeastLogprob)); }

void AppendScore(std::string& out, const TokenScore& score) {
  out += R"("token":)";
  AppendJsonString(out, score.bytes);
  out += fmt::format(R"(,"logprob":{},"bytes":[)", LogprobNumber(score.logprob));
  const char* separator = "";
  for (char byte : score.bytes) {
    out += fmt::format("{}{}", separator, static_cast<unsigned char>(byte));
    separator = ",";
  }
  out += "]";
}

std::string ChatLogprobs(std::span<const TokenLogprob> tokens) {
  std::string out = R"({"content":[)";
  const char* separator = "{";
  for (const TokenLogprob& token : tokens) {
    out += separator;
    AppendScore(out, token.token);
    out += R"(,"top_logprobs":[)";
    const char* next = "{";
    for (const TokenScore& score : token.top) {
      out += next;
      AppendScore(out, score);
      out += "}";
      next = ",{";
    }
    out += "]}";
    separator = ",{";
  }
  return out += R"(],"refusal":null})";
}

// The most probable ones by their text, and the chosen one with them. Of tokens with the same text
// the first counts: a member can stand only once.
void AppendTop(std::string& out, const TokenLogprob& token) {
  std::set<std::string> met;
  const auto add = [&](const TokenScore& score) {
    std::string name = JsonString(score.bytes);
    if (!met.insert(name).second) return;
    out += fmt::format("{}{}:{}", met.size() == 1 ? "{" : ",", name, LogprobNumber(score.logprob));
  };
  for (const TokenScore& score : token.top) add(score);
  add(token.token);
  out += "}";
}

std::string TextLogprobs(std::span<const TokenLogprob> tokens) {
  std::string names;
  std::string logprobs;
  std::string top;
  std::string offsets;
  bool any_top = false;
  const char* separator = "";
  for (const TokenLogprob& token : tokens) {
    names += separator;
    AppendJsonString(names, token.token.bytes);
    logprobs += separator + LogprobNumber(token.token.logprob);
    top += separator;
    AppendTop(top, token);
    any_top |= !token.top.empty();
    offsets += fmt::format("{}{}", separator, token.offset);
    separator = ",";
  }
  return fmt::format(
      R"({{"tokens":[{}],"token_logprobs":[{}],"top_logprobs":{},"text_offset":[{}]}})", names,
      logprobs, any_top ? "[" + top + "]" : "null", offsets);
}

std::string MessageJson(const Choice& choice) {
  const bool calls = !choice.tool_calls.empty();
  return fmt::format(R"({{"role":"assistant","content":{},"refusal":null{}{}}})",
                     calls && choice.text.empty() ? "null" : JsonString(choice.text),
                     calls ? R"(,"tool_calls":)" : "",
                     calls ? ToolCallsJson(choice.tool_calls, false) : "");
}

}  // namespace

std::string ChoiceJson(Endpoint endpoint, const Choice& choice) {
  const bool chat = endpoint == Endpoint::kChatCompletions;
  return fmt::format(R"({{"index":{},"{}":{},"logprobs":{},"finish_reason":{}}})", choice.index,
                     chat ? "message" : "text",
                     chat ? MessageJson(choice) : JsonString(choice.text),
                     choice.logprobs ? LogprobsJson(endpoint, *choice.logprobs) : "null",
                     choice.finish_reason.empty() ? "null" : JsonString(choice.finish_reason));
}

std::string LogprobsJson(Endpoint endpoint, std::span<const TokenLogprob> tokens) {
  return endpoint == Endpoint::kChatCompletions ? ChatLogprobs(tokens) : TextLogprobs(tokens);
}

std::string ToolCallsJson(std::span<const ToolCall> calls, bool numbered) {
  std::string out = "[";
  for (size_t i = 0; i < calls.size(); ++i) {
    out += i == 0 ? "{" : ",{";
    if (numbered) out += fmt::format(R"("index":{},)", i);
    out += fmt::format(R"("id":{},"type":"function","function":{{"name":{},"arguments":{}}}}})",
                       JsonString(calls[i].id), JsonString(calls[i].name),
                       JsonString(calls[i].arguments));
  }
  return out += "]";
}

}  // namespace inferq::wire
