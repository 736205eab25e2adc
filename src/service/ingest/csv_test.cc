#include "service/ingest/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "service/ingest/csv_reader.h"
#include "service/ingest/text_source.h"

namespace inferq::ingest {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Table = std::vector<std::vector<std::string>>;

struct Read {
  Table rows;
  std::vector<uint64_t> numbers;
  std::vector<std::string> problems;
  std::string failure;
};

Read ReadAll(std::string text, char separator = ',', size_t piece = SIZE_MAX,
             size_t max_bytes = 1 << 20) {
  Input input(ReadText(std::move(text), piece));
  CsvReader reader(input, separator, max_bytes);
  Read read;
  CsvRecord record;
  while (true) {
    auto more = reader.Next(record);
    if (!more) read.failure = more.error().message();
    if (!more || !*more) return read;
    read.rows.push_back(record.fields);
    read.numbers.push_back(record.number);
    read.problems.push_back(record.problem);
  }
}

TEST(CsvReader, ReadsQuotesLineEndsAndBlankLines) {
  auto read = ReadAll("a,b,c\r\n\"x,\"\"y\"\"\",\"1\n2\",\n\n \n\"\"\nlast,,z");
  EXPECT_EQ(read.failure, "");
  EXPECT_EQ(read.rows, (Table{{"a", "b", "c"}, {"x,\"y\"", "1\n2", ""}, {""}, {"last", "", "z"}}));
  EXPECT_THAT(read.numbers, ElementsAre(1, 2, 6, 7));
}

TEST(CsvReader, AQuoteInsideAPlainFieldIsACharacter) {
  EXPECT_EQ(ReadAll("5\" pipe,a\"b\"\n").rows, (Table{{"5\" pipe", "a\"b\""}}));
}

TEST(CsvReader, TextBehindAQuoteSpoilsItsRowOnly) {
  auto read = ReadAll("\"a\"b,c\n\"d\" ,e\nf,g\n");
  ASSERT_EQ(read.rows.size(), 3u);
  EXPECT_THAT(read.problems[0], HasSubstr("closing quote"));
  EXPECT_THAT(read.problems[1], HasSubstr("closing quote"));
  EXPECT_EQ(read.problems[2], "");
}

TEST(CsvReader, AnUnclosedQuoteEndsTheReading) {
  auto read = ReadAll("a,b\nc,\"d\ne,f\n");
  EXPECT_EQ(read.rows.size(), 1u);
  EXPECT_THAT(read.failure, HasSubstr("Line 2: a quoted field"));
}

TEST(CsvReader, BadUtf8SpoilsItsRowOnly) {
  auto read = ReadAll("a\xff,b\n\"c\xff\",d\ne,f");
  EXPECT_THAT(read.problems[0], HasSubstr("UTF-8"));
  EXPECT_THAT(read.problems[1], HasSubstr("UTF-8"));
  EXPECT_EQ(read.problems[2], "");
}

TEST(CsvReader, TooLongRowsAreSkippedWhole) {
  std::string plain(3000, 'x');
  std::string quoted = "\"" + std::string(1000, 'y') + "\n" + std::string(1000, ',') + "\"";
  for (size_t piece : {size_t{1}, size_t{7}, size_t{1000}, SIZE_MAX}) {
    auto read = ReadAll("a\n" + plain + "\nb\n" + quoted + "\nc\n", ',', piece, 500);
    EXPECT_EQ(read.failure, "");
    ASSERT_EQ(read.rows.size(), 5u) << piece;
    EXPECT_THAT(read.problems[1], HasSubstr("3000 bytes; at most 500"));
    EXPECT_THAT(read.problems[3], HasSubstr("2003 bytes; at most 500"));
    EXPECT_EQ(read.rows[4], std::vector<std::string>{"c"});
    EXPECT_THAT(read.numbers, ElementsAre(1, 2, 3, 4, 6));
  }
}

TEST(CsvReader, DetectsTheSeparatorOutsideQuotes) {
  EXPECT_EQ(DetectSeparator("a;b;c"), ';');
  EXPECT_EQ(DetectSeparator("a\tb,c\td\n,,,,"), '\t');
  EXPECT_EQ(DetectSeparator("\"a;;;;\",b"), ',');
  EXPECT_EQ(DetectSeparator("a"), ',');
}

rc::Gen<std::string> GenField() {
  auto special = rc::gen::container<std::string>(
      rc::gen::element('"', ',', ';', '\t', '\r', '\n', ' ', 'a', 'b'));
  auto text = rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '~'));
  return rc::gen::oneOf(special, text, rc::gen::element<std::string>("", "é你", "😀"));
}

TEST(Csv, WhatIsWrittenReadsBackHoweverItIsCut) {
  EXPECT_TRUE(rc::check("round trip", [] {
    char separator = *rc::gen::element(',', ';', '\t');
    auto width = *rc::gen::inRange<size_t>(0, 4);
    auto rows =
        *rc::gen::container<Table>(rc::gen::container<std::vector<std::string>>(width, GenField()));
    auto piece = *rc::gen::inRange<size_t>(1, 20);
    std::string text;
    for (const auto& row : rows) {
      CsvResult result;
      result.output = *GenField();
      result.prompt_tokens = 7;
      text += CsvRow(row, result, separator);
    }
    auto read = ReadAll(text, separator, piece);
    RC_ASSERT(read.failure.empty());
    RC_ASSERT(read.rows.size() == rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      RC_ASSERT(read.problems[i].empty());
      RC_ASSERT(read.rows[i].size() == width + 4);
      RC_ASSERT(std::equal(rows[i].begin(), rows[i].end(), read.rows[i].begin()));
    }
  }));
}

TEST(Csv, HeaderAndRowsHaveOurColumnsBehindTheInputs) {
  std::vector<std::string> columns = {"id", "a b", "output"};
  EXPECT_EQ(CsvHeader(columns),
            "id,a b,output,inferq_output,finish_reason,prompt_tokens,completion_tokens\r\n");
  CsvResult good{.output = "say \"hi\"\n",
                 .finish_reason = "stop",
                 .prompt_tokens = 3,
                 .completion_tokens = 4};
  std::vector<std::string> values = {"1", "=SUM(A1)", " x"};
  EXPECT_EQ(CsvRow(values, good), "1,=SUM(A1),\" x\",\"say \"\"hi\"\"\n\",stop,3,4\r\n");
  EXPECT_EQ(CsvRow({}, {.output = "a;b"}, ';'), "\"a;b\";;;\r\n");
}

}  // namespace
}  // namespace inferq::ingest
