// What answers look like: schemas, grammars, tools, logprobs, several choices. With a random model,
// so whatever holds here holds by force.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include "engine/llama/step_loop.h"
#include "gguf/tiny_model.h"
#include "wire/json.h"

namespace inferq::engine::llama {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using wire::JsonType;
using wire::JsonValue;

constexpr uint64_t kContext = 2048;

// One answer, its deltas joined.
struct Whole {
  std::string text;
  std::vector<wire::ToolCall> calls;
  std::vector<wire::TokenLogprob> logprobs;
  std::optional<FinishReason> finish_reason;
  Usage usage;
  std::optional<RequestError> error;
};

GenerateRequest Chat(std::string text, double temperature, uint64_t max_tokens = 600) {
  GenerateRequest request;
  request.messages = {{.role = "user", .content = std::move(text)}};
  request.sampling.temperature = temperature;
  request.sampling.seed = 5;
  request.max_tokens = max_tokens;
  return request;
}

GenerateRequest Plain(std::string prompt, double temperature, uint64_t max_tokens) {
  GenerateRequest request = Chat("", temperature, max_tokens);
  request.endpoint = Endpoint::kCompletions;
  request.messages.clear();
  request.prompt = std::move(prompt);
  return request;
}

class AnswerFormatTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    InitLlama();
    std::string pattern = ::testing::TempDir() + "inferq_format_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
    plain_ = Load(testing::MakeTinyModel(directory_, "glm4", 1));
    tools_ = Load(testing::MakeTinyModel(directory_, "llama", 1, true));
  }
  static void TearDownTestSuite() {
    plain_.reset();
    tools_.reset();
    std::filesystem::remove_all(directory_);
  }

  static std::unique_ptr<Model> Load(const std::string& path) {
    auto model = Model::Load({.path = path, .slots = 4, .context_tokens = kContext, .threads = 1});
    EXPECT_TRUE(model.has_value()) << model.error().message();
    return *std::move(model);
  }

  static std::map<uint32_t, Whole> RunAll(Model& model, GenerateRequest request,
                                          StepHooks hooks = {}) {
    StepLoop loop(model, std::move(hooks));
    loop.Submit(1, std::move(request));
    std::map<uint32_t, Whole> all;
    while (loop.HasWork()) {
      auto deltas = loop.Step();
      EXPECT_TRUE(deltas.has_value()) << deltas.error().message();
      if (!deltas) break;
      for (SequenceDelta& delta : *deltas) {
        Whole& whole = all[delta.choice];
        EXPECT_FALSE(whole.finish_reason) << "a delta after the end";
        EXPECT_TRUE(wire::IsUtf8(delta.text));
        whole.text += delta.text;
        std::ranges::move(delta.tool_calls, std::back_inserter(whole.calls));
        std::ranges::move(delta.logprobs, std::back_inserter(whole.logprobs));
        whole.finish_reason = delta.finish_reason;
        whole.usage = delta.usage;
        whole.error = delta.error;
      }
    }
    return all;
  }
  static Whole Run(Model& model, GenerateRequest request) {
    return RunAll(model, std::move(request))[0];
  }

  static inline std::string directory_;
  static inline std::unique_ptr<Model> plain_;
  static inline std::unique_ptr<Model> tools_;  // its template knows tools
};

// --- A validator of the part of JSON schema that these tests use ---

bool HasType(JsonValue value, std::string_view type) {
  switch (value.type()) {
    case JsonType::kNull:
      return type == "null";
    case JsonType::kBool:
      return type == "boolean";
    case JsonType::kNumber:
      return type == "number" || (type == "integer" && value.AsInteger().has_value());
    case JsonType::kString:
      return type == "string";
    case JsonType::kArray:
      return type == "array";
    case JsonType::kObject:
      return type == "object";
  }
  return false;
}

bool Follows(JsonValue value, JsonValue schema);

bool ObjectFollows(JsonValue value, JsonValue schema) {
  const auto properties = schema.Find("properties");
  std::set<std::string> met;
  for (wire::JsonMembers member(value); member.Next();) {
    if (!met.insert(member.key()).second) return false;
    const auto property = properties ? properties->Find(member.key()) : std::nullopt;
    if (property && !Follows(member.value(), *property)) return false;
    const auto additional = schema.Find("additionalProperties");
    if (!property && additional && additional->AsBool() == false) return false;
  }
  const auto required = schema.Find("required");
  if (!required) return true;
  return std::ranges::all_of(required->Elements(), [&](JsonValue name) {
    return met.contains(name.AsString().value_or(""));
  });
}

bool WithinBounds(JsonValue schema, std::string_view least, std::string_view most, double size) {
  const auto low = schema.Find(least);
  const auto high = schema.Find(most);
  return (!low || size >= *low->AsDouble()) && (!high || size <= *high->AsDouble());
}

bool Follows(JsonValue value, JsonValue schema) {
  if (const auto options = schema.Find("enum")) {
    return std::ranges::any_of(options->Elements(), [&](JsonValue option) {
      return wire::CompactJson(option) == wire::CompactJson(value);
    });
  }
  const auto type = schema.Find("type");
  if (type && !HasType(value, *type->AsString())) return false;
  switch (value.type()) {
    case JsonType::kObject:
      return ObjectFollows(value, schema);
    case JsonType::kArray: {
      const auto all = value.Elements();
      const auto items = schema.Find("items");
      return WithinBounds(schema, "minItems", "maxItems", static_cast<double>(all.size())) &&
             (!items ||
              std::ranges::all_of(all, [&](JsonValue item) { return Follows(item, *items); }));
    }
    case JsonType::kNumber:
      return WithinBounds(schema, "minimum", "maximum", *value.AsDouble());
    case JsonType::kString: {
      const auto characters =
          std::ranges::count_if(*value.AsString(), [](char c) { return (c & 0xC0) != 0x80; });
      return WithinBounds(schema, "minLength", "maxLength", static_cast<double>(characters));
    }
    default:
      return true;
  }
}

constexpr const char* kSchemas[] = {
    R"({"type":"object","properties":{"name":{"type":"string","maxLength":12},
        "age":{"type":"integer","minimum":0,"maximum":150}},"required":["name","age"],
        "additionalProperties":false})",
    R"({"type":"object","properties":{"mood":{"enum":["good","bad",null,7]}},"required":["mood"],
        "additionalProperties":false})",
    R"({"type":"array","items":{"type":"integer","minimum":-5,"maximum":5},"minItems":2,
        "maxItems":4})",
    R"({"type":"object","properties":{"people":{"type":"array","maxItems":3,"items":{
          "type":"object","properties":{"first":{"type":"string","minLength":1,"maxLength":5},
          "ok":{"type":"boolean"}},"required":["first","ok"],"additionalProperties":false}},
        "place":{"type":"object","properties":{"lat":{"type":"integer"},"lon":{"type":"integer"}},
          "required":["lat","lon"],"additionalProperties":false}},
        "required":["people","place"],"additionalProperties":false})",
    R"({"type":"string","maxLength":20})",
    R"({"type":"boolean"})",
};

// --- Schemas and grammars ---

TEST_F(AnswerFormatTest, AnswersFollowTheirSchema) {
  for (const char* schema : kSchemas) {
    for (double temperature : {0.0, 1.0, 2.0}) {
      for (uint64_t seed : {1u, 2u, 3u}) {
        GenerateRequest request = Chat("give me json", temperature);
        request.sampling.seed = seed;
        request.json_schema = schema;
        const Whole answer = Run(*plain_, request);
        ASSERT_FALSE(answer.error) << answer.error->message;
        const auto json = wire::ParseJson(answer.text);
        ASSERT_TRUE(json) << json.error().message() << ": " << answer.text;
        EXPECT_TRUE(Follows(*json, *wire::ParseJson(std::string_view(schema))))
            << answer.text << " for " << schema;
        EXPECT_EQ(answer.finish_reason, FinishReason::kStop) << "it ends by itself";
      }
    }
  }
}

TEST_F(AnswerFormatTest, ASchemaHoldsWithEveryWayOfSampling) {
  const std::vector<SamplingParams> ways{
      {.top_p = 0.3},           {.top_k = 3},
      {.min_p = 0.9},           {.temperature = 0, .repeat_penalty = 1.5},
      {.frequency_penalty = 2}, {.temperature = 0, .logit_bias = {{.token = 65, .bias = 100}}}};
  for (const SamplingParams& sampling : ways) {
    GenerateRequest request = Chat("give me json", 1);
    request.sampling = sampling;
    request.sampling.seed = 4;
    request.json_schema = kSchemas[0];
    const Whole answer = Run(*plain_, request);
    const auto json = wire::ParseJson(answer.text);
    ASSERT_TRUE(json) << answer.text;
    EXPECT_TRUE(Follows(*json, *wire::ParseJson(std::string_view(kSchemas[0])))) << answer.text;
  }
}

TEST_F(AnswerFormatTest, AnEndedGrammarEndsTheAnswerEvenWithIgnoreEos) {
  GenerateRequest request = Chat("?", 1);
  request.grammar = R"(root ::= "yes" | "no")";
  request.ignore_eos = true;
  const Whole answer = Run(*plain_, request);
  EXPECT_TRUE(answer.text == "yes" || answer.text == "no") << answer.text;
  EXPECT_EQ(answer.finish_reason, FinishReason::kStop);
}

// Most draws are refused, a few at a time and then all at once.
TEST_F(AnswerFormatTest, AllowedTokensKeepTheirOdds) {
  const auto grammar = Grammar::Make(plain_->vocab(), {.gbnf = "root ::= [abcd]"});
  ASSERT_TRUE(grammar);
  for (float of_the_others : {-3.0F, 2.0F}) {
    std::vector<float> logits(plain_->facts().vocabulary, of_the_others);
    for (int i = 0; i < 4; ++i) logits[static_cast<size_t>('a' + i)] = static_cast<float>(i) * 0.5F;
    double total = 0;
    for (int i = 0; i < 4; ++i) total += std::exp(i * 0.5);
    constexpr int kDraws = 3000;
    std::map<llama_token, int> drawn;
    Sampler::Candidates scratch;
    for (uint64_t seed = 0; seed < kDraws; ++seed) {
      Sampler sampler({.seed = seed}, grammar->Copy());
      ++drawn[sampler.Sample(logits, scratch)];
    }
    EXPECT_EQ(drawn.size(), 4u);
    for (int i = 0; i < 4; ++i) {
      const double expected = kDraws * std::exp(i * 0.5) / total;
      EXPECT_NEAR(drawn['a' + i], expected, 5 * std::sqrt(expected)) << i;
    }
  }
}

TEST_F(AnswerFormatTest, OnlyEndTokensComeAfterTheEndOfAGrammar) {
  const auto grammar = Grammar::Make(plain_->vocab(), {.gbnf = "root ::= [ab]"});
  const std::vector<float> logits(plain_->facts().vocabulary, 1.0F);
  Sampler::Candidates scratch;
  Sampler sampler({.temperature = 0}, grammar->Copy());
  EXPECT_EQ(sampler.Sample(logits, scratch), 'a');
  EXPECT_TRUE(plain_->IsEnd(sampler.Sample(logits, scratch)));
}

// Their names would count as text, but nobody would see them.
TEST_F(AnswerFormatTest, ControlTokensAreNoTextForAGrammar) {
  const auto control = plain_->Prepare(Chat("?", 0))->tokens.front();
  ASSERT_TRUE(llama_vocab_is_control(plain_->vocab(), control));
  GrammarSource source{.gbnf = "root ::= [^x]*"};
  const auto hidden = Grammar::Make(plain_->vocab(), source);
  EXPECT_FALSE(hidden->Allows(control));
  EXPECT_TRUE(hidden->Allows('a'));
  std::vector<float> logits(plain_->facts().vocabulary, 1.0F);
  std::vector<llama_token_data> scratch;
  hidden->Constrain(logits, scratch);
  EXPECT_TRUE(std::isinf(logits[static_cast<size_t>(control)]));
  EXPECT_TRUE(std::isinf(logits['x']));
  EXPECT_EQ(logits['a'], 1.0F);
  source.visible = {control};
  EXPECT_TRUE(Grammar::Make(plain_->vocab(), source)->Allows(control));
}

TEST_F(AnswerFormatTest, BadSchemasAndGrammarsAreTheRequestsFault) {
  GenerateRequest request = Chat("?", 0);
  request.json_schema = R"({"type":"no such type"})";
  Whole answer = Run(*plain_, request);
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, base::Code::kInvalidArgument);
  EXPECT_EQ(answer.error->param, "body.response_format.json_schema.schema");
  request.json_schema.clear();
  for (const char* grammar :
       {"root :=", "top ::= \"a\"", "root ::= root \"a\"", "root ::= other"}) {
    request.grammar = grammar;
    answer = Run(*plain_, request);
    ASSERT_TRUE(answer.error) << grammar;
    EXPECT_EQ(answer.error->param, "body.grammar");
  }
}

TEST_F(AnswerFormatTest, ABiasForNoTokenIsTheRequestsFault) {
  GenerateRequest request = Chat("?", 0);
  request.sampling.logit_bias = {{.token = 1'000'000, .bias = 1}};
  const Whole answer = Run(*plain_, request);
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->param, "body.logit_bias");
  EXPECT_THAT(answer.error->message, HasSubstr("1000000"));
}

TEST_F(AnswerFormatTest, ABiasDecides) {
  GenerateRequest request = Chat("?", 1, 5);
  request.sampling.logit_bias = {{.token = 'x', .bias = 100}};
  EXPECT_EQ(Run(*plain_, request).text, "xxxxx");
  request.sampling.logit_bias = {{.token = 'x', .bias = 100}, {.token = 'y', .bias = 100}};
  const std::string text = Run(*plain_, request).text;
  EXPECT_THAT(text, ::testing::Each(::testing::AnyOf('x', 'y')));
}

// --- Several choices ---

TEST_F(AnswerFormatTest, ChoicesHaveSeedsOfTheirOwn) {
  GenerateRequest request = Chat("tell", 2, 12);
  request.n = 3;
  std::set<std::string> texts;
  for (const auto& [choice, answer] : RunAll(*plain_, request)) {
    EXPECT_TRUE(answer.finish_reason) << choice;
    texts.insert(answer.text);
  }
  EXPECT_EQ(texts.size(), 3u);
}

// Choice i of a request is what its first choice would be with the seed + i.
TEST_F(AnswerFormatTest, TheSeedsOfChoicesFollowEachOther) {
  const std::vector<float> logits(plain_->facts().vocabulary, 0.0F);
  const auto tokens = [&](uint64_t seed, uint32_t choice) {
    GenerateRequest request = Chat("tell", 1, 100);
    request.sampling.seed = seed;
    const auto prompt = plain_->Prepare(request);
    Answer answer(*plain_, request, *prompt->format, prompt->tokens, 100, choice);
    Sampler::Candidates scratch;
    std::vector<llama_token> all;
    for (int i = 0; i < 20; ++i) all.push_back(answer.Choose(logits, scratch));
    return all;
  };
  EXPECT_EQ(tokens(5, 3), tokens(8, 0));
  EXPECT_NE(tokens(5, 0), tokens(5, 1));
}

TEST_F(AnswerFormatTest, ChoicesFollowOneSchemaEachForItself) {
  GenerateRequest request = Chat("tell", 1);
  request.n = 3;
  request.json_schema = kSchemas[3];
  for (const auto& [choice, answer] : RunAll(*plain_, request)) {
    const auto json = wire::ParseJson(answer.text);
    ASSERT_TRUE(json) << answer.text;
    EXPECT_TRUE(Follows(*json, *wire::ParseJson(std::string_view(kSchemas[3])))) << answer.text;
  }
}

// --- Logprobs ---

TEST_F(AnswerFormatTest, LogprobsAreThoseOfTheRawLogits) {
  std::vector<std::vector<float>> rows;
  std::vector<llama_token> chosen;
  StepHooks hooks;
  hooks.on_logits = [&](const Sequence&, std::span<const float> logits, llama_token token) {
    rows.emplace_back(logits.begin(), logits.end());
    chosen.push_back(token);
    return token;
  };
  GenerateRequest request = Plain("Once", 0.5, 20);
  request.sampling.repeat_penalty = 1.3;
  request.ignore_eos = true;
  request.logprobs = true;
  request.top_logprobs = 3;
  const Whole answer = RunAll(*plain_, request, std::move(hooks))[0];
  ASSERT_EQ(answer.logprobs.size(), 20u);
  std::string text;
  for (size_t i = 0; i < rows.size(); ++i) {
    double sum = 0;
    for (float logit : rows[i]) sum += std::exp(double{logit});
    const wire::TokenLogprob& told = answer.logprobs[i];
    const double expected = double{rows[i][static_cast<size_t>(chosen[i])]} - std::log(sum);
    EXPECT_NEAR(told.token.logprob, expected, 1e-4);
    EXPECT_EQ(told.token.bytes, plain_->Piece(chosen[i], true));
    ASSERT_EQ(told.top.size(), 3u);
    EXPECT_GE(told.top[0].logprob, told.top[1].logprob);
    EXPECT_NEAR(told.top[0].logprob, double{*std::ranges::max_element(rows[i])} - std::log(sum),
                1e-4);
    text += told.token.bytes;
  }
  EXPECT_THAT(wire::RepairUtf8(text), answer.text);
}

TEST_F(AnswerFormatTest, LogprobsEndWhereTheTextDoes) {
  GenerateRequest request = Plain("Once", 0, 30);
  request.ignore_eos = true;
  request.logprobs = true;
  const Whole whole = Run(*plain_, request);
  ASSERT_GT(whole.logprobs.size(), 12u);
  const size_t at = whole.logprobs[10].offset;
  request.stop = {whole.logprobs[10].token.bytes + whole.logprobs[11].token.bytes};
  const Whole cut = Run(*plain_, request);
  ASSERT_EQ(cut.finish_reason, FinishReason::kStop);
  ASSERT_FALSE(cut.logprobs.empty());
  EXPECT_LE(cut.logprobs.size(), 10u);
  EXPECT_LT(cut.logprobs.back().offset, at);
  std::string text;
  for (const auto& token : cut.logprobs) text += token.token.bytes;
  EXPECT_EQ(wire::RepairUtf8(text), cut.text);
}

// --- Tools ---

constexpr const char* kTools =
    R"([{"type":"function","function":{"name":"weather","description":"of a city","parameters":{
        "type":"object","properties":{"city":{"enum":["Rome","Oslo"]},"days":{"type":"integer",
        "minimum":1,"maximum":9}},"required":["city","days"],"additionalProperties":false}}},
      {"type":"function","function":{"name":"now","parameters":{"type":"object","properties":{}}}}])";

llama_token Special(const Model& model, std::string_view name) {
  llama_token token = 0;
  EXPECT_EQ(llama_tokenize(model.vocab(), name.data(), static_cast<int32_t>(name.size()), &token, 1,
                           false, true),
            1)
      << name;
  return token;
}

// A random model talks on and on: makes it call as soon as it may, and end then.
void PushToCall(const Model& model, GenerateRequest& request) {
  request.sampling.logit_bias = {{.token = Special(model, "[sMASK]"), .bias = 80},
                                 {.token = Special(model, "<|endoftext|>"), .bias = 100}};
}

GenerateRequest WithTools(wire::ToolChoice choice, double temperature = 1) {
  GenerateRequest request = Chat("How is Rome?", temperature);
  request.tools = kTools;
  request.tool_choice = choice;
  return request;
}

TEST_F(AnswerFormatTest, RequiredCallsAreMade) {
  for (double temperature : {0.0, 1.0}) {
    for (uint64_t seed : {1u, 2u, 3u, 4u}) {
      GenerateRequest request = WithTools(wire::ToolChoice::kRequired, temperature);
      request.sampling.seed = seed;
      PushToCall(*tools_, request);
      const Whole answer = Run(*tools_, request);
      ASSERT_FALSE(answer.error) << answer.error->message;
      ASSERT_EQ(answer.calls.size(), 1u) << answer.text;
      EXPECT_EQ(answer.finish_reason, FinishReason::kToolCalls);
      EXPECT_TRUE(answer.calls[0].id.starts_with("call_"));
      const auto arguments = wire::ParseJson(answer.calls[0].arguments);
      ASSERT_TRUE(arguments) << answer.calls[0].arguments;
      if (answer.calls[0].name == "weather") {
        EXPECT_GE(arguments->Find("days")->AsInteger(), 1) << answer.calls[0].arguments;
      } else {
        EXPECT_EQ(answer.calls[0].name, "now");
      }
    }
  }
}

TEST_F(AnswerFormatTest, CallsThatTheModelMakesByItselfAreFound) {
  const std::string said =
      "Let me see. [sMASK]{\"name\": \"weather\", \"arguments\": "
      "{\"city\": \"Rome\", \"days\": 2}}<eop>";
  const auto tokens = tools_->Prepare(Plain(said, 0, 1))->tokens;
  size_t next = 0;
  const GenerateRequest request = WithTools(wire::ToolChoice::kAuto);
  const auto prepared = tools_->Prepare(request);
  ASSERT_TRUE(prepared) << prepared.error().message();
  Answer answer(*tools_, request, *prepared->format, prepared->tokens, 500);
  SequenceDelta last;
  while (!last.finish_reason && next <= tokens.size()) {
    last = answer.Take(next < tokens.size() ? tokens[next] : llama_vocab_eos(tools_->vocab()));
    if (!last.finish_reason) EXPECT_THAT(last.text, IsEmpty()) << "text waits for the end";
    ++next;
  }
  EXPECT_EQ(last.finish_reason, FinishReason::kToolCalls);
  EXPECT_THAT(last.text, HasSubstr("Let me see."));
  ASSERT_EQ(last.tool_calls.size(), 1u);
  EXPECT_EQ(last.tool_calls[0].name, "weather");
  EXPECT_EQ(wire::CompactJson(*wire::ParseJson(std::string_view(last.tool_calls[0].arguments))),
            R"({"city":"Rome","days":2})");
}

TEST_F(AnswerFormatTest, ACallFollowsItsSchemaFromItsFirstTokenOn) {
  for (uint64_t seed : {1u, 2u, 3u, 4u, 5u}) {
    GenerateRequest request = WithTools(wire::ToolChoice::kAuto, 2);
    request.sampling.seed = seed;
    request.sampling.logit_bias = {{.token = Special(*tools_, "[sMASK]"), .bias = 100}};
    const Whole answer = Run(*tools_, request);
    ASSERT_FALSE(answer.error) << answer.error->message;
    ASSERT_FALSE(answer.calls.empty()) << answer.text;
    const auto arguments = wire::ParseJson(answer.calls[0].arguments);
    EXPECT_TRUE(arguments) << answer.calls[0].arguments;
  }
}

TEST_F(AnswerFormatTest, TextWithoutCallsStaysText) {
  GenerateRequest request = WithTools(wire::ToolChoice::kAuto);
  request.max_tokens = 30;
  const Whole answer = Run(*tools_, request);
  ASSERT_FALSE(answer.error) << answer.error->message;
  EXPECT_THAT(answer.calls, IsEmpty());
  EXPECT_FALSE(answer.text.empty());
}

std::string Shown(const Model& model, const GenerateRequest& request) {
  const auto prompt = model.Prepare(request);
  if (!prompt) return prompt.error().message();
  std::string text;
  for (llama_token token : prompt->tokens) text += model.Piece(token, true);
  return text;
}

TEST_F(AnswerFormatTest, ToolsAndCallsReachTheTemplate) {
  GenerateRequest request = WithTools(wire::ToolChoice::kNone);
  EXPECT_THAT(Shown(*tools_, request), HasSubstr("\"name\": \"weather\""));
  EXPECT_FALSE(tools_->Prepare(request)->format->grammar);
  request.messages.push_back(
      {.role = "assistant",
       .content = "",
       .tool_calls = {{.id = "c", .name = "now", .arguments = R"({"zone":"CET"})"}}});
  request.messages.push_back({.role = "tool", .content = "12:00", .tool_call_id = "c"});
  const std::string shown = Shown(*tools_, request);
  EXPECT_THAT(shown, HasSubstr("[sMASK]{\"name\": \"now\", \"arguments\": {\"zone\": \"CET\"}}"));
  EXPECT_THAT(shown, HasSubstr("<tool_response>\n12:00\n</tool_response>"));
}

TEST_F(AnswerFormatTest, ATemplateWithoutToolsRefusesThem) {
  Whole answer = Run(*plain_, WithTools(wire::ToolChoice::kAuto));
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, base::Code::kInvalidArgument);
  EXPECT_EQ(answer.error->param, "body.tools");
  EXPECT_THAT(answer.error->message, HasSubstr("no tools"));
  GenerateRequest none = WithTools(wire::ToolChoice::kNone);
  none.max_tokens = 3;
  EXPECT_FALSE(Run(*plain_, none).error) << "what is not used is no harm";
  GenerateRequest earlier = Chat("?", 0, 3);
  earlier.messages.push_back(
      {.role = "assistant", .content = "", .tool_calls = {{"c", "f", "{}"}}});
  answer = Run(*plain_, earlier);
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->param, "body.messages");
}

TEST_F(AnswerFormatTest, ABadSchemaOfAToolIsNamed) {
  GenerateRequest request = Chat("?", 0);
  request.tools =
      R"([{"type":"function","function":{"name":"f","parameters":{"type":"nothing"}}}])";
  const Whole answer = Run(*tools_, request);
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->param, "body.tools[0].function.parameters");
}

}  // namespace
}  // namespace inferq::engine::llama
