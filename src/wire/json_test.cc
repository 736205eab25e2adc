#include "wire/json.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <limits>

namespace inferq::wire {
namespace {

using base::Code;

std::string MessageOf(std::string_view text) {
  auto value = ParseJson(text);
  return value ? "valid" : value.error().message();
}

TEST(Json, ReadsEveryTypeAndKeepsTheTextAsWritten) {
  std::string text =
      R"( {"s":"a\n\"b\" \u00e9\ud83d\ude00","n":-1.50e+2,"t":true,"z":null,"a":[1, 2],"o":{}} )";
  auto object = ParseJson(text);
  ASSERT_TRUE(object) << object.error().message();
  EXPECT_EQ(object->type(), JsonType::kObject);
  EXPECT_EQ(object->Find("s")->AsString(), "a\n\"b\" é😀");
  EXPECT_EQ(object->Find("n")->AsDouble(), -150.0);
  EXPECT_EQ(object->Find("n")->AsInteger(), -150);
  EXPECT_EQ(object->Find("n")->text(), "-1.50e+2");
  EXPECT_EQ(object->Find("t")->AsBool(), true);
  EXPECT_TRUE(object->Find("z")->is_null());
  EXPECT_EQ(object->Find("a")->Elements().size(), 2u);
  EXPECT_EQ(object->Find("a")->text(), "[1, 2]");
  EXPECT_EQ(object->Find("o")->type(), JsonType::kObject);
  EXPECT_FALSE(object->Find("absent"));
  EXPECT_FALSE(object->Find("t")->AsString());
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* bad : {"",        " ",          "{",       "{}x",      "{} {}",
                          "[1,]",    "{\"a\":1,}", "{'a':1}", "nul",      "+1",
                          "01",      "1.",         ".5",      "-",        "\"\t\"",
                          "\"\\x\"", "\"\\u12\"",  "// c\n1", "[1 2]",    "{\"a\"}",
                          "{1:2}",   "\"",         "NaN",     "Infinity", "\xEF\xBB\xBF{}",
                          "]",       "tru",        "\"a\\\""}) {
    auto value = ParseJson(bad);
    ASSERT_FALSE(value) << bad;
    EXPECT_EQ(value.error().code(), Code::kInvalidArgument) << bad;
  }
  EXPECT_EQ(MessageOf("{\"a\":1"), "The JSON ends too early, at byte 6.");
  EXPECT_EQ(MessageOf("[1,]").substr(0, 28), "The JSON is wrong at byte 3:");
  EXPECT_EQ(MessageOf("\"\xff\""), "The text is not valid UTF-8.");
}

TEST(Json, TakesNumbersOfAnySize) {
  auto big = ParseJson("[123456789012345678901234567890, 1e400, 1e-400, 18446744073709551615]");
  ASSERT_TRUE(big) << big.error().message();
  auto all = big->Elements();
  EXPECT_EQ(all[0].text(), "123456789012345678901234567890");
  EXPECT_FALSE(all[0].AsInteger());
  EXPECT_NEAR(*all[0].AsDouble(), 1.2345678901234568e29, 1e15);
  EXPECT_FALSE(all[1].AsDouble());
  EXPECT_EQ(all[2].AsDouble(), 0.0);
  EXPECT_FALSE(all[3].AsInteger());
  EXPECT_EQ(ParseJson("9223372036854775807")->AsInteger(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(ParseJson("5.0")->AsInteger(), 5);
  EXPECT_FALSE(ParseJson("5.5")->AsInteger());
  EXPECT_FALSE(ParseJson("1e19")->AsInteger());
}

TEST(Json, RefusesHalfSurrogatePairs) {
  for (const char* bad :
       {R"("\ud83d")", R"("\ude00")", R"("\ud83d\u0041")", R"("\ud83dx\ude00")", R"("\\\ude00")"}) {
    EXPECT_NE(MessageOf(bad), "valid") << bad;
  }
  for (const char* good : {R"("\ud83d\ude00")", R"("\\ude00")", R"("\u00e9\\\u0041")"}) {
    EXPECT_EQ(MessageOf(good), "valid") << good;
  }
}

TEST(Json, LimitsDepthAndSize) {
  auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  auto code_of = [](const std::string& text) {
    auto value = ParseJson(text);
    return value ? std::nullopt : std::optional(value.error().code());
  };
  EXPECT_EQ(code_of(nested(128)), std::nullopt);
  EXPECT_EQ(code_of(nested(129)), Code::kResourceExhausted);
  EXPECT_EQ(code_of(nested(1'000'000)), Code::kResourceExhausted);
  EXPECT_TRUE(ParseJson("[[]]", {.max_depth = 2}));
  EXPECT_FALSE(ParseJson("[[[]]]", {.max_depth = 2}));
  EXPECT_TRUE(ParseJson("[[1]]", {.max_depth = 2}));
  EXPECT_FALSE(ParseJson("[[[1]]]", {.max_depth = 2}));
  // Also where a number sends the text to the slow parser.
  EXPECT_TRUE(ParseJson("[[1e400]]", {.max_depth = 2}));
  EXPECT_FALSE(ParseJson("[[[1e400]]]", {.max_depth = 2}));
  EXPECT_FALSE(ParseJson("\"1234567\"", {.max_bytes = 8}));
  EXPECT_TRUE(ParseJson("\"123456\"", {.max_bytes = 8}));
}

TEST(Json, ALargeTextIsReadAndSmallOnesAfterIt) {
  std::string large = "\"" + std::string(3 << 20, 'x') + "\"";
  EXPECT_TRUE(ParseJson(large));
  EXPECT_TRUE(ParseJson("[1]"));
  EXPECT_FALSE(ParseJson("[1"));
}

TEST(Json, CompactDropsOnlySpaceBetweenTokens) {
  auto value = ParseJson("{ \"b\" : [ 1.0 ,\n\t\"x  y\\\"\" , -0 ] ,\r\n\"a\":{ } }");
  ASSERT_TRUE(value);
  EXPECT_EQ(CompactJson(*value), R"({"b":[1.0,"x  y\"",-0],"a":{}})");
}

TEST(Json, EditFillsInAndReplacesAndKeepsTheRest) {
  auto body = ParseJson(R"({ "z": 1.10, "model": null, "t": 0.5, "y\u0041": [ 1 ], "t": 9 })");
  ASSERT_TRUE(body);
  EXPECT_EQ(
      EditJsonObject(*body, {{"model", "\"m\""}, {"z", "2"}, {"t", "1", true}, {"new", "{}"}}),
      R"({"z":1.10,"model":"m","t":1,"yA":[1],"new":{}})");
  EXPECT_EQ(EditJsonObject(*ParseJson("{}"), {}), "{}");
  EXPECT_EQ(EditJsonObject(*ParseJson("{ }"), {{"a", "1"}}), R"({"a":1})");
}

TEST(Json, TextIsAViewWhereNothingIsToBeDecoded) {
  std::string decoded;
  const std::string plain = R"("plain")";
  auto text = ParseJson(plain)->AsText(decoded);
  EXPECT_EQ(text, "plain");
  EXPECT_EQ(text->data(), plain.data() + 1);
  EXPECT_EQ(ParseJson(R"("a\u0062\n")")->AsText(decoded), "ab\n");
  EXPECT_EQ(ParseJson("7")->AsText(decoded), std::nullopt);
}

TEST(Json, FindsKeysHoweverTheyAreWritten) {
  const std::string text = R"({"a\\b":1,"\u0061":2,"abc":3,"a\tb":4})";
  JsonValue object = *ParseJson(text);
  EXPECT_EQ(object.Find("a\\b")->text(), "1");
  EXPECT_EQ(object.Find("a")->text(), "2");
  EXPECT_EQ(object.Find("abc")->text(), "3");
  EXPECT_EQ(object.Find("a\tb")->text(), "4");
  EXPECT_FALSE(object.Find("a\\tb"));  // the bytes as written, but not what they stand for
  EXPECT_FALSE(object.Find("ab"));
}

TEST(Json, FindsARepeatedKeyHoweverItIsWritten) {
  EXPECT_EQ(RepeatedKey(*ParseJson(R"({"a":1,"b":2,"\u0061":3})")), "a");
  EXPECT_FALSE(RepeatedKey(*ParseJson(R"({"a":1,"b":{"a":2}})")));
}

TEST(Json, BadUtf8IsRepairedOneCharacterPerBadByte) {
  EXPECT_EQ(RepairUtf8("a\xffz"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(RepairUtf8("ok é 😀"), "ok é 😀");
  EXPECT_EQ(RepairUtf8("\xE4\xBD"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(JsonString("\x80\x01\""), "\"\xEF\xBF\xBD\\u0001\\\"\"");
}

TEST(Json, NumbersReadBackAsTheSameDouble) {
  EXPECT_EQ(JsonNumber(0.1), "0.1");
  EXPECT_EQ(JsonNumber(std::numeric_limits<double>::infinity()), "null");
  rc::check("round trip", [](double value) {
    RC_PRE(std::isfinite(value));
    std::string text = JsonNumber(value);
    auto parsed = ParseJson(text);
    RC_ASSERT(parsed.has_value());
    RC_ASSERT(parsed->AsDouble() == value);
  });
}

TEST(Json, AnyBytesEscapeToAStringThatReadsBack) {
  EXPECT_TRUE(rc::check("escape and read", [](const std::string& text) {
    std::string json = JsonString(text);
    auto parsed = ParseJson(json);
    RC_ASSERT(parsed.has_value());
    RC_ASSERT(parsed->AsString() == RepairUtf8(text));
  }));
}

rc::Gen<std::string> GenJson(int depth) {
  auto scalar = rc::gen::oneOf(
      rc::gen::element<std::string>("null", "true", "false", "-0.5e3", "\"\\ud83d\\ude00\"",
                                    "\"]}\\\\\""),
      rc::gen::map(rc::gen::arbitrary<int>(), [](int n) { return std::to_string(n); }),
      rc::gen::map(rc::gen::arbitrary<std::string>(),
                   [](const std::string& s) { return JsonString(s); }));
  if (depth == 0) return scalar;
  auto list = rc::gen::container<std::vector<std::string>>(GenJson(depth - 1));
  auto array = rc::gen::map(list, [](const std::vector<std::string>& items) {
    return fmt::format("[ {} ]", fmt::join(items, " , "));
  });
  auto object = rc::gen::map(list, [](const std::vector<std::string>& items) {
    std::string out = "{\n";
    for (size_t i = 0; i < items.size(); ++i)
      out += fmt::format("{}\"k{}\" : {}", i ? "," : "", i, items[i]);
    return out + "}";
  });
  return rc::gen::oneOf(scalar, array, object);
}

/// Rebuilds a value from what the readers say.
std::string Rebuild(JsonValue value) {
  std::vector<std::string> parts;
  switch (value.type()) {
    case JsonType::kString:
      return JsonString(*value.AsString());
    case JsonType::kArray:
      for (JsonElements e(value); e.Next();) parts.push_back(Rebuild(e.value()));
      return fmt::format("[{}]", fmt::join(parts, ","));
    case JsonType::kObject:
      for (JsonMembers m(value); m.Next();)
        parts.push_back(JsonString(m.key()) + ":" + Rebuild(m.value()));
      return fmt::format("{{{}}}", fmt::join(parts, ","));
    default:
      return std::string(value.text());
  }
}

TEST(Json, WalkingFindsEveryPart) {
  EXPECT_TRUE(rc::check("walk", [] {
    std::string text = *rc::gen::resize(12, GenJson(3));
    auto value = ParseJson(text);
    RC_ASSERT(value.has_value());
    std::string compact = CompactJson(*value);
    std::string rebuilt = Rebuild(*value);
    RC_ASSERT(ParseJson(rebuilt).has_value());
    RC_ASSERT(Rebuild(*ParseJson(compact)) == rebuilt);
  }));
}

}  // namespace
}  // namespace inferq::wire
