#include "http/multipart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::http {
namespace {

using base::Result;
using testing::ElementsAre;
using testing::HasSubstr;

// Events as text; the data of a part as one.
Result<std::vector<std::string>> Read(std::string_view body, size_t piece,
                                      std::string boundary = "b") {
  MultipartReader reader(std::move(boundary));
  std::vector<std::string> out;
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size()))) {
    INFERQ_ASSIGN(auto events, reader.Feed(body.substr(0, piece)));
    for (const MultipartEvent& event : events) {
      if (auto* begin = std::get_if<PartBegin>(&event)) {
        out.push_back(fmt::format("{}|{}|{}|", begin->name, begin->filename.value_or("-"),
                                  begin->content_type));
      } else if (auto* data = std::get_if<PartData>(&event)) {
        EXPECT_FALSE(data->bytes.empty());
        out.back() += data->bytes;
      } else {
        out.back() += "|";
      }
    }
  }
  INFERQ_TRY(reader.Finish());
  return out;
}

std::string Part(std::string_view parameters, std::string_view data) {
  return fmt::format("--b\r\nContent-Disposition: form-data; {}\r\n\r\n{}\r\n", parameters, data);
}

std::string Message(std::string_view body) {
  auto read = Read(body, 1000);
  return read ? "" : read.error().message();
}

std::string NameOf(std::string_view parameters) {
  auto read = Read(Part(parameters, "") + "--b--", 1000);
  return read ? read->at(0) : read.error().message();
}

TEST(Multipart, GivesTheSameEventsForAnySplit) {
  const std::string body =
      "preamble\r\n--other\r\n--b \t\r\n"
      "content-disposition:form-data;name=\"purpose\"\r\n\r\nbatch\r\n"
      "--b\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; name=file; "
      "filename=\"a.jsonl\"\r\nX: y\r\n\r\n{\r\n--\r\n--a\r\r\n-\n\r\n"
      "--b\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n"
      "--b--\r\nepilogue\r\n--b\r\n";
  for (size_t piece = 1; piece <= body.size(); ++piece) {
    auto read = Read(body, piece);
    ASSERT_TRUE(read) << piece << read.error().ToString();
    EXPECT_THAT(*read,
                ElementsAre("purpose|-||batch|", "file|a.jsonl|text/plain|{\r\n--\r\n--a\r\r\n-\n|",
                            "empty|-|||"))
        << piece;
  }
}

TEST(Multipart, ReadsNames) {
  EXPECT_EQ(NameOf("name=\"a\\\"b\\\\c\""), "a\"b\\c|-|||");
  EXPECT_EQ(NameOf("name=\"a%22b%\""), "a\"b%|-|||");
  EXPECT_EQ(NameOf("name=\"a;b=c\"; filename=\"x;y\""), "a;b=c|x;y|||");
  EXPECT_EQ(NameOf("name=\"f\"; filename=\"C:\\folder\\x\""), "f|x|||");
  EXPECT_EQ(NameOf("name=\"f\"; filename=\"../../etc/x\""), "f|x|||");
  EXPECT_EQ(NameOf("name=\"f\"; filename=\"\""), "f||||");
  EXPECT_EQ(NameOf("name=\"f\"; filename=x; filename*=UTF-8''evil"), "f|x|||");
  EXPECT_EQ(NameOf("name=\"\xC3\xA4\""), "\xC3\xA4|-|||");
}

TEST(Multipart, RefusesWhatIsMalformed) {
  EXPECT_THAT(NameOf("filename=x"), HasSubstr("no name"));
  EXPECT_THAT(NameOf("name=a; name=b"), HasSubstr("two names"));
  EXPECT_THAT(NameOf("name=a; filename=b; filename=c"), HasSubstr("two file names"));
  EXPECT_THAT(NameOf("name=\"a"), HasSubstr("no end"));
  EXPECT_THAT(NameOf("name=\"a\"b"), HasSubstr("follows"));
  EXPECT_THAT(NameOf("name"), HasSubstr("no '='"));
  EXPECT_THAT(NameOf("name=\"\xff\""), HasSubstr("UTF-8"));
  EXPECT_THAT(Message("--b\r\nContent-Disposition: file; name=a\r\n\r\n\r\n--b--"),
              HasSubstr("form-data"));
  EXPECT_THAT(Message("--b\r\n\r\n\r\n--b--"), HasSubstr("no name"));
  EXPECT_THAT(Message("--b\r\nnonsense\r\n\r\n\r\n--b--"), HasSubstr("no ':'"));
  EXPECT_THAT(Message("--bx\r\n"), HasSubstr("follows a boundary"));
  EXPECT_THAT(Message(Part("name=a", "data")), HasSubstr("closing boundary"));
  EXPECT_THAT(Message(""), HasSubstr("closing boundary"));
}

TEST(Multipart, HasLimits) {
  std::string parts;
  for (size_t i = 0; i < MultipartReader::kMaxParts; ++i) parts += Part("name=a", "");
  EXPECT_EQ(Message(parts + "--b--"), "");
  EXPECT_THAT(Message(parts + Part("name=a", "") + "--b--"), HasSubstr("more than 64 parts"));

  const std::string head = "--b\r\nContent-Disposition: form-data; name=a\r\nX: ";
  const std::string fits(MultipartReader::kMaxPartHead - 100, 'x');
  EXPECT_EQ(Message(head + fits + "\r\n\r\n\r\n--b--"), "");
  const std::string over(MultipartReader::kMaxPartHead, 'x');
  EXPECT_THAT(Message(head + over + "\r\n\r\n\r\n--b--"), HasSubstr("longer than"));
  EXPECT_THAT(Message(head + over), HasSubstr("longer than")) << "before its end";
  EXPECT_THAT(Message("--b" + std::string(300, ' ')), HasSubstr("too long"));
}

TEST(Multipart, HoldsBackNoMoreThanABoundary) {
  MultipartReader reader("b");
  ASSERT_TRUE(reader.Feed(Part("name=a", "").substr(0, Part("name=a", "").size() - 2)));
  size_t given = 0;
  for (int i = 0; i < 100; ++i) {
    auto events = reader.Feed(std::string(1000, '\r'));
    ASSERT_TRUE(events);
    for (const auto& event : *events) given += std::get<PartData>(event).bytes.size();
  }
  EXPECT_GE(given + std::string_view("\r\n--b").size(), 100'000u);
}

TEST(Multipart, FindsTheBoundary) {
  EXPECT_EQ(MultipartBoundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(MultipartBoundary("Multipart/Form-Data;charset=x; Boundary=\"a b:c\""), "a b:c");
  for (const char* bad :
       {"", "application/json", "multipart/mixed; boundary=a", "multipart/form-data",
        "multipart/form-data; boundary=", "multipart/form-data; boundary=\"a\r\nb\"",
        "multipart/form-data; boundary=\"a \"", "multipart/form-data; boundary=a@b"}) {
    auto boundary = MultipartBoundary(bad);
    ASSERT_FALSE(boundary) << bad;
    EXPECT_EQ(boundary.error().code(), base::Code::kInvalidArgument);
  }
  EXPECT_TRUE(MultipartBoundary("multipart/form-data; boundary=" + std::string(70, 'x')));
  EXPECT_FALSE(MultipartBoundary("multipart/form-data; boundary=" + std::string(71, 'x')));
}

}  // namespace
}  // namespace inferq::http
