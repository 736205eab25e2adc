#include "service/ingest/line_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <stdlib.h>

#include "service/ingest/id_set.h"
#include "service/ingest/item_reader.h"
#include "service/ingest/text_source.h"

namespace inferq::ingest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string BatchLine(const std::string& id, const std::string& more = R"("model":"m",)") {
  return R"({"custom_id":")" + id + R"(","method":"POST","url":"/v1/chat/completions","body":{)" +
         more + R"("messages":[]}})";
}

struct Read {
  std::vector<Line> lines;
  std::vector<BadLine> bad;
  std::string failure;
  Format format = Format::kAuto;
};

Read ReadAll(ReadBytes bytes, SourceOptions options = {}) {
  Read read;
  auto source = LineSource::Open(std::move(bytes), std::move(options));
  if (!source) {
    read.failure = source.error().message();
    return read;
  }
  read.format = (*source)->format();
  while (true) {
    auto item = (*source)->Next();
    if (!item) {
      read.failure = item.error().message();
      EXPECT_FALSE((*source)->Next()) << "errors repeat";
      return read;
    }
    if (!*item) return read;
    if (auto* line = std::get_if<Line>(&**item)) read.lines.push_back(std::move(*line));
    if (auto* bad = std::get_if<BadLine>(&**item)) read.bad.push_back(std::move(*bad));
  }
}

Read ReadAll(std::string text, SourceOptions options = {}) {
  return ReadAll(ReadText(std::move(text)), std::move(options));
}

SourceOptions WithModel(std::string name = "") {
  SourceOptions options;
  options.model = "m";
  options.file_name = std::move(name);
  return options;
}

TEST(BatchSource, LinesComeAsTheyAreWithTheirPlace) {
  std::string text = "\xEF\xBB\xBF\n" + BatchLine("a") + "\r\n  \n\t" + BatchLine("b") + " ";
  auto read = ReadAll(text);
  EXPECT_EQ(read.failure, "");
  EXPECT_EQ(read.format, Format::kBatch);
  ASSERT_EQ(read.lines.size(), 2u);
  EXPECT_EQ(read.lines[0].number, 2u);
  EXPECT_EQ(read.lines[1].number, 4u);
  EXPECT_EQ(read.lines[1].custom_id, "b");
  for (const Line& line : read.lines) {
    EXPECT_EQ(line.json, BatchLine(line.custom_id));
    EXPECT_EQ(text.substr(line.offset, line.length), line.json);
  }
}

TEST(BatchSource, ABadLineDoesNotTouchItsNeighbours) {
  auto read = ReadAll(BatchLine("a") + "\n{\"custom_id\":\"b\"\nnonsense\n" + BatchLine("\xff") +
                      "\n" + BatchLine("c"));
  EXPECT_EQ(read.lines.size(), 2u);
  ASSERT_EQ(read.bad.size(), 3u);
  for (const BadLine& bad : read.bad) EXPECT_EQ(bad.code, "invalid_json_line");
  EXPECT_EQ(read.bad[0].number, 2u);
  EXPECT_EQ(read.bad[2].number, 4u);
  EXPECT_THAT(read.bad[2].message, HasSubstr("UTF-8"));
}

TEST(BatchSource, AFirstLineThatIsBrokenIsStillABatchs) {
  auto read = ReadAll(R"({"custom_id":"a","body":{)"
                      "\n" +
                      BatchLine("b"));
  EXPECT_EQ(read.format, Format::kBatch);
  EXPECT_EQ(read.lines.size(), 1u);
  EXPECT_EQ(read.bad.size(), 1u);
}

TEST(BatchSource, ARepeatedIdNamesTheFirstOnesLine) {
  auto read = ReadAll(BatchLine("a") + "\n" + BatchLine("b") + "\n" + BatchLine("a"));
  EXPECT_EQ(read.lines.size(), 2u);
  ASSERT_EQ(read.bad.size(), 1u);
  EXPECT_EQ(read.bad[0].code, "duplicate_custom_id");
  EXPECT_EQ(read.bad[0].custom_id, "a");
  EXPECT_EQ(read.bad[0].number, 3u);
  EXPECT_EQ(read.bad[0].param, "custom_id");
  EXPECT_THAT(read.bad[0].message, HasSubstr("first on line 1"));
}

TEST(BatchSource, ModelAndEndpointFollowTheOptions) {
  EXPECT_EQ(ReadAll(BatchLine("a", "")).bad[0].param, "body.model");
  auto filled = ReadAll(BatchLine("a", ""), WithModel());
  ASSERT_EQ(filled.lines.size(), 1u);
  EXPECT_THAT(filled.lines[0].json, HasSubstr(R"("model":"m")"));
  EXPECT_THAT(ReadAll(BatchLine("a", R"("model":"other",)"), WithModel()).lines[0].json,
              HasSubstr("other"));
  SourceOptions options;
  options.batch_endpoint = wire::Endpoint::kCompletions;
  EXPECT_EQ(ReadAll(BatchLine("a"), options).bad[0].code, "invalid_url");
}

TEST(BatchSource, ASurveyComesInPlaceOfTheText) {
  SourceOptions options;
  options.survey = true;
  auto read =
      ReadAll(BatchLine("a", R"("model":"m","max_tokens":9,"prompt":"abcdefgh",)"), options);
  ASSERT_EQ(read.lines.size(), 1u);
  EXPECT_EQ(read.lines[0].json, "");
  EXPECT_EQ(read.lines[0].model, "m");
  EXPECT_EQ(read.lines[0].survey.tokens, 2u);
  EXPECT_EQ(read.lines[0].survey.output_limit, 9);
}

TEST(BatchSource, TooLongLinesAreSkippedWhole) {
  SourceOptions options;
  options.max_item_bytes = 1000;
  std::string text = BatchLine("a") + "\n" + std::string(5000, 'x') + "\n" + BatchLine("b") + "\n" +
                     std::string(1001, 'y');
  for (size_t piece : {size_t{1}, size_t{333}, SIZE_MAX}) {
    auto read = ReadAll(ReadText(text, piece), options);
    EXPECT_EQ(read.lines.size(), 2u);
    ASSERT_EQ(read.bad.size(), 2u);
    EXPECT_EQ(read.bad[0].message, "This line has 5000 bytes; at most 1000 are allowed.");
    EXPECT_EQ(read.bad[1].number, 4u);
  }
}

TEST(BatchSource, AnArrayOfBatchLinesIsOneTooAndStaysOnOneLine) {
  auto read = ReadAll("[\n" + BatchLine("a") +
                      ",\n{\"custom_id\":\"b\",\n\"method\":\"POST\",\"url\":\"/v1/completions\","
                      "\"body\":{\"model\":\"m\",\n\"prompt\":\"p\"}}\n]");
  EXPECT_EQ(read.failure, "");
  EXPECT_EQ(read.format, Format::kJsonArray);
  ASSERT_EQ(read.lines.size(), 2u);
  EXPECT_EQ(read.lines[1].number, 3u);
  EXPECT_EQ(
      read.lines[1].json,
      R"({"custom_id":"b","method":"POST","url":"/v1/completions","body":{"model":"m","prompt":"p"}})");
}

TEST(Recognition, GoesByContentThenByName) {
  auto format = [](std::string text, std::string name = "") {
    return ReadAll(std::move(text), WithModel(std::move(name))).format;
  };
  EXPECT_EQ(format(BatchLine("a")), Format::kBatch);
  EXPECT_EQ(format(BatchLine("a"), "x.csv"), Format::kBatch);
  EXPECT_EQ(format("\n [\"a\"]"), Format::kJsonArray);
  EXPECT_EQ(format("{\"text\":\"a\"}", "x.csv"), Format::kJsonl);
  EXPECT_EQ(format("\"a text\"\n\"b\""), Format::kJsonl);
  EXPECT_EQ(format("\"text\"\n\"b\"", "x.csv"), Format::kCsv);
  EXPECT_EQ(format("\"text\",\"b\"\n1,2"), Format::kCsv);
  EXPECT_EQ(format("text,b\n1,2"), Format::kCsv);
  EXPECT_EQ(format("text\n1", "x.txt"), Format::kCsv);
}

TEST(Recognition, RefusesWhatItCannotReadWithAWayOut) {
  EXPECT_EQ(ReadAll("").failure, "The input is empty.");
  EXPECT_EQ(ReadAll("\xEF\xBB\xBF \n\n").failure, "The input is empty.");
  EXPECT_THAT(ReadAll(std::string("\xFF\xFE{\0", 4)).failure, HasSubstr("UTF-16"));
  EXPECT_THAT(ReadAll(std::string("\xFE\xFF\0{", 4)).failure, HasSubstr("UTF-16"));
  EXPECT_THAT(ReadAll(std::string("{\0\"\0", 4)).failure, HasSubstr("iconv"));
  EXPECT_THAT(ReadAll(std::string("\0{\0\"", 4)).failure, HasSubstr("UTF-16"));
  EXPECT_THAT(ReadAll("a,b\r1,2\r", WithModel()).failure, HasSubstr("CR alone"));
  SourceOptions options = WithModel();
  options.separator = '|';
  EXPECT_THAT(ReadAll("a|text\n1|2", options).failure, HasSubstr("separator"));
}

TEST(Recognition, AForcedFormatIsBelieved) {
  SourceOptions options = WithModel();
  options.format = Format::kBatch;
  auto read = ReadAll("{\"text\":\"a\"}", options);
  EXPECT_EQ(read.bad.size(), 1u);
  options.format = Format::kJsonArray;
  EXPECT_THAT(ReadAll("{\"text\":\"a\"}", options).failure, HasSubstr("not a JSON array"));
}

TEST(Recognition, NamesGoBothWays) {
  for (Format format :
       {Format::kAuto, Format::kBatch, Format::kCsv, Format::kJsonArray, Format::kJsonl}) {
    EXPECT_EQ(ParseFormat(FormatName(format)), format);
  }
  EXPECT_FALSE(ParseFormat("xml"));
}

TEST(JsonArray, DamageBetweenElementsEndsTheReading) {
  for (auto [text, good, part] :
       std::initializer_list<std::tuple<const char*, size_t, const char*>>{
           {"[\"a\" \"b\"]", 1, "Line 1: expected ',' or ']'"},
           {"[\"a\",\n]", 1, "Line 2: expected an element"},
           {"[,\"a\"]", 0, "expected an element"},
           {"[\"a\"", 1, "not closed; the file may be cut off"},
           {"[\"a\",", 1, "not closed"},
           {"[\"a\",\n\"b", 1, "Line 2: the element that begins here is not closed"},
           {"[\"a\"] x", 1, "behind the end"},
           {"[\"a\"}", 1, "got '}'"},
           {"[", 0, "not closed"},
       }) {
    auto read = ReadAll(text, WithModel());
    EXPECT_EQ(read.lines.size(), good) << text;
    EXPECT_THAT(read.failure, HasSubstr(part)) << text;
  }
  EXPECT_EQ(ReadAll("[]", WithModel()).failure, "");
}

TEST(JsonArray, ABadElementDoesNotTouchItsNeighbours) {
  auto read = ReadAll(R"(["a", nope, {"text":"x"}, "\ud800", 17, "b"])", WithModel());
  EXPECT_EQ(read.failure, "");
  EXPECT_EQ(read.lines.size(), 2u);
  EXPECT_EQ(read.bad.size(), 4u);
  EXPECT_EQ(read.lines[1].custom_id, "row-6");
}

/// The elements that a reader finds when the bytes come in pieces.
std::vector<std::string> Elements(const std::string& text, size_t first, size_t piece) {
  bool began = false;
  ReadBytes whole = ReadText(text, SIZE_MAX);
  Input input([&, whole](char* out, size_t size) mutable {
    size_t limit = std::exchange(began, true) ? piece : first;
    return whole(out, std::min(size, limit));
  });
  JsonArrayReader reader(input, 1 << 20);
  std::vector<std::string> found;
  while (true) {
    auto item = reader.Next();
    if (!item) found.push_back("failed: " + item.error().message());
    if (!item || !*item) return found;
    found.emplace_back((*item)->text);
  }
}

TEST(JsonArray, SplitsTheSameAtEveryBufferBorder) {
  std::string text = R"( [ {"a":"]}\"\\","b":[1,{"c":"\\"}]} ,"x,\"]" ,12, true,[[],["]"]],"" ] )";
  auto whole = Elements(text, SIZE_MAX, SIZE_MAX);
  EXPECT_THAT(whole, ElementsAre(R"({"a":"]}\"\\","b":[1,{"c":"\\"}]})", R"("x,\"]")", "12", "true",
                                 R"([[],["]"]])", "\"\""));
  for (size_t first = 1; first < text.size(); ++first) {
    EXPECT_EQ(Elements(text, first, SIZE_MAX), whole) << first;
    EXPECT_EQ(Elements(text, first, 1), whole) << first;
  }
}

TEST(JsonArray, AnyStringsComeBackHoweverTheyAreCut) {
  EXPECT_TRUE(rc::check("split", [](const std::vector<std::string>& texts) {
    std::string array = "[";
    std::vector<std::string> quoted;
    for (const std::string& text : texts) {
      quoted.push_back(wire::JsonString(text));
      array += (array.size() > 1 ? "," : "") + quoted.back();
    }
    RC_ASSERT(Elements(array + "]", *rc::gen::inRange<size_t>(1, 9),
                       *rc::gen::inRange<size_t>(1, 9)) == quoted);
  }));
}

TEST(JsonArray, ATooLongElementIsSkippedInConstantMemory) {
  SourceOptions options = WithModel();
  options.max_item_bytes = 100;
  std::string text = "[\"a\",\"" + std::string(3 << 20, 'x') + "\",\"b\"]";
  auto read = ReadAll(ReadText(text, 1000), options);
  EXPECT_EQ(read.failure, "");
  EXPECT_EQ(read.lines.size(), 2u);
  ASSERT_EQ(read.bad.size(), 1u);
  EXPECT_THAT(read.bad[0].message, HasSubstr("3145730 bytes"));
}

/// The most that is buffered of `head` and 64 MiB of x behind it. Each read asks for as much as
/// there is room for.
size_t MostBuffered(std::string head, Format format) {
  size_t largest = 0;
  uint64_t sent = 0;
  SourceOptions options = WithModel();
  options.format = format;
  options.max_item_bytes = 1000;
  ReadAll(
      [&](char* out, size_t size) -> base::Result<size_t> {
        largest = std::max(largest, size);
        if (sent > 64 << 20) return 0;
        std::fill_n(out, size, 'x');
        head.copy(out, head.size());
        head.clear();
        sent += size;
        return size;
      },
      options);
  return largest;
}

TEST(Input, MemoryIsBoundByTheLongestItem) {
  EXPECT_LE(MostBuffered("", Format::kBatch), size_t{1} << 20);
  EXPECT_LE(MostBuffered("text\n", Format::kCsv), size_t{1} << 20);
  EXPECT_LE(MostBuffered("text\n\"", Format::kCsv), size_t{1} << 20);
  EXPECT_LE(MostBuffered("[\"a\",\"", Format::kJsonArray), size_t{1} << 20);
}

TEST(Input, AFailureToReadIsHandedOn) {
  int calls = 0;
  auto read = ReadAll([&](char* out, size_t) -> base::Result<size_t> {
    if (calls++ > 0) return base::Fail(base::Code::kUnavailable, "disk");
    std::string line = BatchLine("a") + "\n";
    line.copy(out, line.size());
    return line.size();
  });
  EXPECT_EQ(read.lines.size(), 1u);
  EXPECT_EQ(read.failure, "disk");
}

TEST(Input, ReadsAFile) {
  char directory[] = "/tmp/inferq-ingest-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  std::string path = std::string(directory) + "/in.jsonl";
  auto& fs = base::PosixFileSystem();
  ASSERT_TRUE(base::WriteFileAtomically(fs, path, BatchLine("a") + "\n" + BatchLine("b")));
  auto file = fs.Open(path, base::OpenMode::kRead);
  ASSERT_TRUE(file);
  EXPECT_EQ(ReadAll(ReadFrom(**file)).lines.size(), 2u);
  EXPECT_TRUE(base::RemoveTree(fs, directory));
}

TEST(IdSet, KnowsManyIds) {
  IdSet ids;
  for (uint64_t i = 1; i <= 100'000; ++i) ASSERT_FALSE(ids.Insert(std::to_string(i), i));
  for (uint64_t i = 1; i <= 100'000; i += 77) ASSERT_EQ(ids.Insert(std::to_string(i), 7), i);
}

}  // namespace
}  // namespace inferq::ingest
