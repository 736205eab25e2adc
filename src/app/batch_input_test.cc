#include "app/batch_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace inferq::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kLine =
    R"({"custom_id":"a", "method":"POST","url":"/v1/chat/completions",)"
    R"("body":{"model":"m","messages":[{"role":"user","content":"\u4f60"}]}})";

ingest::ReadBytes From(std::string text) {
  return [text = std::move(text), at = size_t{0}](char* out, size_t size) mutable {
    size_t n = text.copy(out, size, at);
    at += n;
    return base::Result<size_t>(n);
  };
}

class BatchInputTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/inferq_batch_input_XXXXXX";
    directory_ = ::mkdtemp(pattern);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::expected<BatchInput, BatchInputFailure> Make(std::string text,
                                                    ingest::SourceOptions options = {}) {
    auto note = [this](const ingest::BadLine& bad) { bad_.push_back(bad.number); };
    return MakeBatchInput(From(std::move(text)), std::move(options), directory_, note);
  }
  static std::string Content(const BatchInput& input) {
    std::string text(*input.file->Size(), '\0');
    EXPECT_EQ(input.file->ReadAt(0, text.data(), text.size()).value_or(0), text.size());
    return text;
  }

  std::string directory_;
  std::vector<uint64_t> bad_;
};

TEST_F(BatchInputTest, BatchLinesPassByteForByte) {
  auto input = Make(std::string(kLine) + "\r\n\n");
  ASSERT_TRUE(input) << input.error().error.ToString();
  EXPECT_EQ(input->lines, 1u);
  EXPECT_EQ(Content(*input), std::string(kLine) + "\n");
}

TEST_F(BatchInputTest, RowsBecomeBatchLines) {
  auto input = Make("text\nhello\n", {.model = "glm"});
  ASSERT_TRUE(input) << input.error().error.ToString();
  EXPECT_THAT(Content(*input), testing::AllOf(HasSubstr("\"custom_id\":\"row-1\""),
                                              HasSubstr("\"model\":\"glm\""), HasSubstr("hello")));
}

TEST_F(BatchInputTest, TheFileHasNoName) {
  auto input = Make(std::string(kLine) + "\n");
  ASSERT_TRUE(input);
  EXPECT_TRUE(std::filesystem::is_empty(directory_));
}

TEST_F(BatchInputTest, BadLinesAreToldWithTheirNumbers) {
  auto input =
      Make("not json\n" + std::string(kLine) + "\n{}\n", {.format = ingest::Format::kBatch});
  ASSERT_TRUE(input);
  EXPECT_EQ(input->bad_lines, 2u);
  EXPECT_THAT(bad_, ElementsAre(1, 3));
}

TEST_F(BatchInputTest, TheInputAndTheDiskAreToldApart) {
  auto empty = Make("");
  ASSERT_FALSE(empty);
  EXPECT_FALSE(empty.error().storage);
  directory_ += "/missing";
  auto nowhere = Make(std::string(kLine));
  ASSERT_FALSE(nowhere);
  EXPECT_TRUE(nowhere.error().storage);
}

}  // namespace
}  // namespace inferq::app
