#include "api/testing/fixture.h"
#include "api/upload_form.h"

namespace inferq::api {
namespace {

using base::Code;
using base::Error;
using testing::FakeExchange;
using testing::GatewayTest;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

struct Part {
  std::string name;
  std::string value;
  std::string filename{};
};

std::string Form(const std::vector<Part>& parts) {
  std::string out;
  for (const Part& part : parts) {
    out += fmt::format("--B\r\nContent-Disposition: form-data; name=\"{}\"", part.name);
    if (!part.filename.empty()) out += fmt::format("; filename=\"{}\"", part.filename);
    out += "\r\n\r\n" + part.value + "\r\n";
  }
  return out + "--B--\r\n";
}

const Part kFile{.name = "file", .value = "{\"a\":1}\n", .filename = "in.jsonl"};
const Part kPurpose{.name = "purpose", .value = "batch"};

class FilesTest : public GatewayTest {
 protected:
  FakeExchange Upload(const std::vector<Part>& parts) {
    FakeExchange exchange = Request("POST", "/v1/files", Form(parts));
    exchange.head.headers = {{"Content-Type", "multipart/form-data; boundary=B"}};
    Handle(exchange);
    return exchange;
  }
  FakeExchange Get(std::string range, std::string method = "GET") {
    FakeExchange exchange = Request(std::move(method), "/v1/files/file-1/content");
    if (!range.empty()) exchange.head.headers = {{"range", std::move(range)}};
    Handle(exchange);
    return exchange;
  }
};

TEST_F(FilesTest, AnUploadsPartsMayComeInAnyOrder) {
  for (const std::vector<Part>& parts :
       {std::vector<Part>{kFile, kPurpose}, std::vector<Part>{kPurpose, kFile},
        std::vector<Part>{{.name = "other", .value = std::string(5000, 'x')},
                          kFile,
                          {.name = "other", .value = ""},
                          kPurpose}}) {
    use_cases_.uploaded.clear();
    FakeExchange exchange = Upload(parts);
    ASSERT_EQ(exchange.status, 200) << exchange.answer;
    EXPECT_EQ(use_cases_.uploaded, kFile.value);
    EXPECT_EQ(use_cases_.finished->filename, "in.jsonl");
    EXPECT_EQ(use_cases_.finished->purpose, "batch");
    EXPECT_FALSE(use_cases_.finished->expires_after);
    EXPECT_THAT(exchange.answer, HasSubstr(R"("id":"file-new","object":"file","bytes":8)"));
    EXPECT_EQ(use_cases_.uploads_alive, 0);
  }
}

TEST_F(FilesTest, AnUploadsExpiryIsTwoFields) {
  FakeExchange exchange = Upload({{.name = "expires_after[anchor]", .value = "created_at"},
                                  kFile,
                                  kPurpose,
                                  {.name = "expires_after[seconds]", .value = "3600"}});
  ASSERT_EQ(exchange.status, 200) << exchange.answer;
  EXPECT_EQ(use_cases_.finished->expires_after, 1h);
}

TEST_F(FilesTest, BytesGoOnInLargePieces) {
  Part large = kFile;
  large.value = std::string(700'000, 'x');
  ASSERT_EQ(Upload({large, kPurpose}).status, 200);
  EXPECT_EQ(use_cases_.uploaded, large.value);
  ASSERT_EQ(use_cases_.appends.size(), 3u);
  EXPECT_GE(use_cases_.appends[0], UploadForm::kAppendBytes);
  EXPECT_GE(use_cases_.appends[1], UploadForm::kAppendBytes);
}

struct BadForm {
  std::vector<Part> parts;
  const char* param;
  const char* message;
};

TEST_F(FilesTest, EveryMistakeInTheFormIsNamedAndLeavesNothing) {
  for (const BadForm& bad : {
           BadForm{{kPurpose}, "file", "'file'"},
           BadForm{{kFile}, "purpose", "'purpose'"},
           BadForm{{kFile, kFile, kPurpose}, "file", "more than one 'file'"},
           BadForm{{kFile, kPurpose, kPurpose}, "purpose", "more than one 'purpose'"},
           BadForm{{{.name = "file", .value = "x"}, kPurpose}, "file", "filename"},
           BadForm{{kFile, {.name = "purpose", .value = "nonsense"}}, "purpose", "'user_data'"},
           BadForm{{kFile, {.name = "purpose", .value = "batch_output"}}, "purpose", "Supported"},
           BadForm{{kFile, {.name = "purpose", .value = std::string(1025, 'p')}},
                   "purpose",
                   "1024 bytes"},
           BadForm{{kFile, kPurpose, {.name = "expires_after[seconds]", .value = "3600"}},
                   "expires_after[anchor]",
                   "anchor"},
       }) {
    FakeExchange exchange = Upload(bad.parts);
    EXPECT_EQ(exchange.status, 400) << exchange.answer;
    EXPECT_EQ(ErrorOf(exchange, "param"), bad.param);
    EXPECT_THAT(ErrorOf(exchange, "message"), HasSubstr(bad.message));
    EXPECT_FALSE(use_cases_.finished);
    EXPECT_EQ(use_cases_.uploads_alive, 0);
  }
}

TEST_F(FilesTest, AFileOverTheLimitIs413) {
  options_.limits.upload = 7;
  FakeExchange exchange = Upload({kFile, kPurpose});
  EXPECT_EQ(exchange.status, 413);
  EXPECT_THAT(ErrorOf(exchange, "message"), HasSubstr("7 bytes"));
  EXPECT_EQ(use_cases_.uploads_alive, 0);
  options_.limits.upload = 8;
  EXPECT_EQ(Upload({kFile, kPurpose}).status, 200);
}

TEST_F(FilesTest, FilesForBatchesMayHaveALimitOfTheirOwn) {
  options_.limits.batch_file = 7;
  FakeExchange exchange = Upload({kFile, kPurpose});
  EXPECT_EQ(exchange.status, 413);
  EXPECT_EQ(ErrorOf(exchange, "param"), "file");
  EXPECT_EQ(use_cases_.uploads_alive, 0);
  EXPECT_FALSE(use_cases_.finished);
  EXPECT_EQ(Upload({kFile, {.name = "purpose", .value = "user_data"}}).status, 200);
}

TEST_F(FilesTest, ABodyThatTellsItsLengthIsRefusedUnread) {
  options_.limits.upload = 8;
  Part other{.name = "other", .value = std::string(3u << 20, 'x')};
  FakeExchange told = Upload({kFile, other, kPurpose});
  EXPECT_EQ(told.status, 413);
  EXPECT_EQ(use_cases_.uploaded, "");

  FakeExchange untold = Request("POST", "/v1/files", Form({kFile, other, kPurpose}));
  untold.head.headers = {{"Content-Type", "multipart/form-data; boundary=B"}};
  untold.told_length = false;
  Handle(untold);
  EXPECT_EQ(untold.status, 413) << "fields that are passed over count, too";
  EXPECT_FALSE(use_cases_.finished);
}

TEST_F(FilesTest, ABodyThatIsNoFormOrIsCutIsRefused) {
  FakeExchange json = Request("POST", "/v1/files", "{}");
  json.head.headers = {{"Content-Type", "application/json"}};
  Handle(json);
  EXPECT_EQ(json.status, 400);
  EXPECT_THAT(ErrorOf(json, "message"), HasSubstr("multipart/form-data"));
  EXPECT_EQ(Do("POST", "/v1/files").status, 400);

  std::string whole = Form({kFile, kPurpose});
  FakeExchange cut = Request("POST", "/v1/files", whole.substr(0, whole.size() - 6));
  cut.head.headers = {{"Content-Type", "multipart/form-data; boundary=B"}};
  Handle(cut);
  EXPECT_EQ(cut.status, 400);
  EXPECT_FALSE(use_cases_.finished);
}

TEST_F(FilesTest, AFullDiskIsToldAndTheUploadDropped) {
  use_cases_.fail_append = Error(Code::kUnavailable, "the disk is full");
  FakeExchange exchange = Upload({kFile, kPurpose});
  EXPECT_EQ(exchange.status, 503);
  EXPECT_EQ(exchange.Header("retry-after"), "1");
  EXPECT_EQ(use_cases_.uploads_alive, 0);
}

TEST_F(FilesTest, AListTakesFilterAndCursor) {
  use_cases_.contents = {{"file-1", "abc"}, {"file-2", ""}};
  FakeExchange exchange =
      Do("GET", "/v1/files?purpose=batch_output&limit=5&order=asc&after=file-0");
  EXPECT_EQ(use_cases_.file_list->purpose, "batch_output");
  EXPECT_EQ(use_cases_.file_list->limit, 5u);
  EXPECT_EQ(use_cases_.file_list->order, catalog::ListOrder::kOldestFirst);
  EXPECT_EQ(use_cases_.file_list->after, "file-0");
  EXPECT_THAT(exchange.answer,
              HasSubstr(R"("first_id":"file-1","last_id":"file-2","has_more":false})"));
  Do("GET", "/v1/files");
  EXPECT_EQ(use_cases_.file_list->limit, 10'000u);
  EXPECT_EQ(use_cases_.file_list->order, catalog::ListOrder::kNewestFirst);
  for (const char* bad : {"purpose=x", "limit=10001", "limit=0", "order=up"}) {
    EXPECT_EQ(Do("GET", fmt::format("/v1/files?{}", bad)).status, 400) << bad;
  }
}

TEST_F(FilesTest, AFileIsToldAndDeleted) {
  use_cases_.contents = {{"file-1", "abc"}};
  EXPECT_THAT(Do("GET", "/v1/files/file-1").answer, HasSubstr(R"("bytes":3)"));
  EXPECT_EQ(Do("DELETE", "/v1/files/file-1").answer,
            R"({"id":"file-1","object":"file","deleted":true})");
  EXPECT_EQ(use_cases_.id, "file-1");
  use_cases_.fail = Error(Code::kNotFound, "No such File object: file-9");
  EXPECT_EQ(Do("DELETE", "/v1/files/file-9").status, 404);
}

TEST_F(FilesTest, ContentComesWhole) {
  std::string bytes(600'000, 'x');
  bytes.back() = 'y';
  use_cases_.contents = {{"file-1", bytes}};
  FakeExchange exchange = Get("");
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(exchange.answer, bytes);
  EXPECT_EQ(exchange.writes.size(), 3u);
  EXPECT_EQ(exchange.length, bytes.size());
  EXPECT_EQ(exchange.Header("accept-ranges"), "bytes");
  EXPECT_EQ(exchange.Header("content-type"), "application/octet-stream");
  EXPECT_TRUE(exchange.ended);
}

TEST_F(FilesTest, ContentComesInParts) {
  use_cases_.contents = {{"file-1", "0123456789"}};
  FakeExchange part = Get("bytes=2-4");
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.answer, "234");
  EXPECT_EQ(part.length, 3u);
  EXPECT_EQ(part.Header("content-range"), "bytes 2-4/10");
  FakeExchange behind = Get("bytes=10-");
  EXPECT_EQ(behind.status, 416);
  EXPECT_EQ(behind.Header("content-range"), "bytes */10");
  EXPECT_EQ(Get("bytes=5-2").answer, "0123456789");
}

TEST_F(FilesTest, HeadTellsTheLengthAlone) {
  use_cases_.contents = {{"file-1", "0123456789"}};
  FakeExchange exchange = Get("bytes=2-4", "HEAD");
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(exchange.length, 10u);
  EXPECT_EQ(exchange.answer, "");
  EXPECT_TRUE(exchange.ended);
}

TEST_F(FilesTest, ContentThatCannotBeReadIsCutOff) {
  use_cases_.contents = {{"file-1", std::string(600'000, 'x')}};
  use_cases_.readable_bytes = 300'000;
  FakeExchange exchange = Get("");
  EXPECT_TRUE(exchange.aborted);
  EXPECT_FALSE(exchange.ended);
}

}  // namespace
}  // namespace inferq::api
