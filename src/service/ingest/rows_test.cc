#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "service/ingest/line_source.h"
#include "service/ingest/row.h"
#include "service/ingest/text_source.h"
#include "wire/batch_line.h"

namespace inferq::ingest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

SourceOptions Options(std::string text_template = "") {
  SourceOptions options;
  options.model = "m";
  options.row.prompt_template = std::move(text_template);
  options.keep_columns = true;
  return options;
}

std::vector<Item> Items(std::string text, SourceOptions options = Options()) {
  auto source = LineSource::Open(ReadText(std::move(text)), std::move(options));
  EXPECT_TRUE(source) << source.error().message();
  std::vector<Item> items;
  while (source) {
    auto item = (*source)->Next();
    EXPECT_TRUE(item) << item.error().message();
    if (!item || !*item) break;
    items.push_back(**std::move(item));
  }
  return items;
}

std::string OpenFailure(std::string text, SourceOptions options) {
  auto source = LineSource::Open(ReadText(std::move(text)), std::move(options));
  return source ? "opened" : source.error().message();
}

/// The body of a good row, checked to be a batch line that runs; the message of a bad one.
std::string BodyOf(const Item& item) {
  if (auto* bad = std::get_if<BadLine>(&item)) return "bad: " + bad->message;
  const Line& line = std::get<Line>(item);
  auto parsed = wire::ParseBatchLine(line.json, {});
  EXPECT_TRUE(parsed) << line.json;
  EXPECT_EQ(parsed->custom_id, line.custom_id);
  return std::string(parsed->body.text());
}

std::string User(const std::string& text) {
  return R"({"model":"m","messages":[{"role":"user","content":")" + text + R"("}]})";
}

TEST(Rows, EveryFormatGivesTheSameRequests) {
  for (const char* text : {"text\na\nb \"q\"\n", "{\"text\":\"a\"}\n{\"text\":\"b \\\"q\\\"\"}",
                           "[\"a\",\"b \\\"q\\\"\"]", "\"a\"\n\"b \\u0022q\\\"\"",
                           "[{\"text\":\"a\",\"x\":1},{\"text\":\"b \\\"q\\\"\"}]"}) {
    auto items = Items(text);
    ASSERT_EQ(items.size(), 2u) << text;
    EXPECT_EQ(BodyOf(items[0]), User("a")) << text;
    EXPECT_EQ(BodyOf(items[1]), User("b \\\"q\\\"")) << text;
    EXPECT_EQ(std::get<Line>(items[1]).custom_id, "row-2");
  }
}

TEST(Rows, TheTemplateIsFilledIn) {
  auto items =
      Items("name,a b\nAnn,\"1\n2\"\n", Options(R"(Hi {{ name }}, {{a b}}! \{{name}} {x} }})"));
  EXPECT_EQ(BodyOf(items[0]), User("Hi Ann, 1\\n2! {{name}} {x} }}"));
  EXPECT_EQ(BodyOf(Items("\"x\"", Options("<{{input}}>"))[0]), User("<x>"));
  EXPECT_EQ(BodyOf(Items("{\"n\":1.50,\"o\":{\"k\": [true]}}", Options("{{n}} {{o}}"))[0]),
            User(R"(1.50 {\"k\":[true]})"));
  EXPECT_EQ(BodyOf(Items("a\nx", Options("constant"))[0]), User("constant"));
}

TEST(Rows, ABadTemplateIsAnErrorUpFront) {
  EXPECT_EQ(OpenFailure("a,b\n1,2", Options("{{c}}")),
            "The template names the column 'c', which the input does not have. It has 'a', 'b'.");
  EXPECT_THAT(OpenFailure("a,b\n1,2", Options("{{a")), HasSubstr("without '}}'"));
  EXPECT_THAT(OpenFailure("a,b\n1,2", Options("{{input}}")), HasSubstr("'input'"));
  EXPECT_THAT(OpenFailure("{\"a\":1}", Options("{{b}}")), HasSubstr("It has 'a'."));
}

TEST(Rows, ARowWithoutTheValueIsBad) {
  auto items = Items("{\"a\":\"1\"}\n{}\n{\"a\":null}\n{\"a\":\"2\"}", Options("{{a}}"));
  EXPECT_EQ(BodyOf(items[1]), "bad: The row has no 'a', which the template names.");
  EXPECT_EQ(BodyOf(items[2]), "bad: The row has no 'a', which the template names.");
  EXPECT_EQ(BodyOf(items[3]), User("2"));
}

TEST(Rows, WithoutATemplateAKnownColumnIsTaken) {
  EXPECT_EQ(BodyOf(Items("input,text,prompt\n1,2,3")[0]), User("3"));
  EXPECT_EQ(BodyOf(Items("input,text\n1,2")[0]), User("2"));
  EXPECT_EQ(BodyOf(Items("x,input\n1,2")[0]), User("2"));
  EXPECT_THAT(OpenFailure("x,y\n1,2", Options()), HasSubstr("The input has 'x', 'y'."));
}

TEST(Rows, AMessagesColumnIsSentAsItIs) {
  std::string messages = R"([{"role":"user","content":"q"}])";
  std::string body = R"({"model":"m","messages":)" + messages + "}";
  EXPECT_EQ(BodyOf(Items("{\"messages\": " + messages + "}")[0]), body);
  EXPECT_EQ(
      BodyOf(Items("messages\n\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"q\"\"}]\"")[0]),
      body);
  SourceOptions options = Options();
  options.row.system = "S";
  EXPECT_EQ(
      BodyOf(Items("{\"messages\":" + messages + "}", options)[0]),
      R"({"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"q"}]})");
  auto bad = Items("messages\nhello\n{}\n");
  EXPECT_THAT(BodyOf(bad[0]), HasSubstr("must be a JSON array"));
  EXPECT_THAT(BodyOf(bad[1]), HasSubstr("not an array"));
  EXPECT_EQ(std::get<BadLine>(bad[0]).param, "body.messages");
  options.row.endpoint = wire::Endpoint::kCompletions;
  options.row.system = "";
  EXPECT_THAT(OpenFailure("messages\n[]", options), HasSubstr("/v1/completions"));
}

TEST(Rows, OptionsBecomeBodyFields) {
  SourceOptions options = Options();
  options.row = {.system = "be \"brief\"",
                 .max_tokens = 5,
                 .temperature = 0.5,
                 .top_p = 0.9,
                 .seed = 7,
                 .extra_body = R"({"stop": ["x"], "temperature": 0, "stream": false})"};
  EXPECT_EQ(
      BodyOf(Items("text\nq", options)[0]),
      R"({"model":"m","messages":[{"role":"system","content":"be \"brief\""},{"role":"user","content":"q"}],)"
      R"("stop":["x"],"temperature":0,"stream":false,"max_tokens":5,"top_p":0.9,"seed":7})");
  options.row = {.max_tokens = 5, .endpoint = wire::Endpoint::kCompletions};
  auto items = Items("text\nq", options);
  EXPECT_EQ(BodyOf(items[0]), R"({"model":"m","prompt":"q","max_tokens":5})");
}

TEST(Rows, BadOptionsAreErrorsUpFront) {
  auto failure = [](auto change) {
    SourceOptions options = Options();
    change(options);
    return OpenFailure("text\nq", options);
  };
  EXPECT_THAT(failure([](auto& o) { o.model = ""; }), HasSubstr("Name the model"));
  EXPECT_THAT(failure([](auto& o) { o.row.temperature = 3; }), HasSubstr("temperature is 3"));
  EXPECT_THAT(failure([](auto& o) { o.row.top_p = -1; }), HasSubstr("top_p"));
  EXPECT_THAT(failure([](auto& o) { o.row.temperature = NAN; }), HasSubstr("temperature"));
  EXPECT_THAT(failure([](auto& o) { o.row.max_tokens = 0; }), HasSubstr("max_tokens"));
  EXPECT_THAT(failure([](auto& o) { o.row.seed = UINT64_MAX; }), HasSubstr("seed"));
  EXPECT_THAT(failure([](auto& o) { o.row.extra_body = "{"; }), HasSubstr("not valid JSON"));
  EXPECT_THAT(failure([](auto& o) { o.row.extra_body = "[]"; }),
              HasSubstr("must be a JSON object"));
  EXPECT_THAT(failure([](auto& o) { o.row.extra_body = R"({"model":"x"})"; }),
              HasSubstr("'model'"));
  EXPECT_THAT(failure([](auto& o) { o.row.extra_body = R"({"stream":true})"; }),
              HasSubstr("'stream'"));
  EXPECT_THAT(failure([](auto& o) {
                o.row.system = "x";
                o.row.endpoint = wire::Endpoint::kCompletions;
              }),
              HasSubstr("system message"));
}

TEST(Rows, IdsComeFromTheirColumn) {
  auto ids = [](const std::string& text) {
    std::vector<std::string> all;
    for (const Item& item : Items(text)) {
      auto* bad = std::get_if<BadLine>(&item);
      all.push_back(bad ? bad->code : std::get<Line>(item).custom_id);
    }
    return all;
  };
  EXPECT_THAT(ids("id,text\nx,1\n,2\nx,3\n"), ElementsAre("x", "row-2", "duplicate_custom_id"));
  EXPECT_THAT(ids("id,custom_id,text\nx,y,1\nx,,2\n"), ElementsAre("y", "x"));
  EXPECT_THAT(ids("{\"text\":\"1\"}\n{\"text\":\"2\",\"id\":7}\n{\"text\":\"3\",\"custom_id\":"
                  "\"c\",\"id\":1}"),
              ElementsAre("row-1", "7", "c"));
  EXPECT_THAT(ids("id,text\nrow-2,1\n,2\n"), ElementsAre("row-2", "duplicate_custom_id"));
  EXPECT_THAT(ids("id,text\n" + std::string(513, 'x') + ",1\n"), ElementsAre("invalid_value"));
}

TEST(Rows, ARaggedRowIsBadAndSaysHow) {
  auto items = Items("id,text\n1,a\n2\n3,b,c\n\"x\"y,z\n4,d\n");
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(BodyOf(items[1]), "bad: Expected 2 columns as in the header, found 1.");
  EXPECT_EQ(BodyOf(items[2]), "bad: Expected 2 columns as in the header, found 3.");
  EXPECT_EQ(std::get<BadLine>(items[2]).number, 4u);
  EXPECT_THAT(BodyOf(items[3]), HasSubstr("closing quote"));
  EXPECT_EQ(BodyOf(items[4]), User("d"));
}

TEST(Rows, HeadersAreCheckedAndTrimmed) {
  EXPECT_EQ(BodyOf(Items("\xEF\xBB\xBFid; text ;\n1;a;\n")[0]), User("a"));
  EXPECT_THAT(OpenFailure("text,text\n1,2", Options()), HasSubstr("two columns 'text'"));
  EXPECT_THAT(OpenFailure("\"text\n1", Options()), HasSubstr("never closed"));
  EXPECT_THAT(OpenFailure("t\xff\n1", Options()), HasSubstr("UTF-8"));
  EXPECT_TRUE(Items("text\n").empty());
}

TEST(Rows, ColumnsAreKeptInTheOrderOfTheHeader) {
  auto items = Items("b,text,a\n1,x,\n");
  EXPECT_THAT(std::get<Line>(items[0]).columns, ElementsAre("1", "x", ""));
  auto objects = Items("{\"b\":1,\"text\":\"x\"}\n{\"text\":\"y\",\"c\":3}");
  EXPECT_THAT(std::get<Line>(objects[0]).columns, ElementsAre("1", "x"));
  EXPECT_THAT(std::get<Line>(objects[1]).columns, ElementsAre("", "y"));
}

TEST(Rows, AFirstJsonRowThatIsWrongIsAnErrorUpFront) {
  EXPECT_THAT(OpenFailure("{\"a\"", Options()), HasSubstr("Line 1: The JSON ends too early"));
  EXPECT_THAT(OpenFailure("[1]", Options()), HasSubstr("an object or a string, got a number"));
  EXPECT_THAT(OpenFailure("{\"a\":1,\"a\":2}", Options()), HasSubstr("'a' occurs twice"));
}

}  // namespace
}  // namespace inferq::ingest
