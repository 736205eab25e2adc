#include "wire/upload_object.h"

#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

using namespace std::chrono_literals;

constexpr base::WallTime kCreated{1'700'000'000s};

model::UploadRecord Record() {
  model::UploadRecord upload;
  upload.id = "upload_1";
  upload.filename = "a \"b\".jsonl";
  upload.purpose = "batch";
  upload.mime_type = "application/jsonl";
  upload.bytes = 12;
  upload.created = kCreated;
  upload.expires = kCreated + 1h;
  return upload;
}

TEST(UploadObject, HasEveryField) {
  EXPECT_EQ(
      UploadJson(Record(), {}),
      R"({"id":"upload_1","object":"upload","bytes":12,"created_at":1700000000,"expires_at":1700003600,)"
      R"("filename":"a \"b\".jsonl","mime_type":"application/jsonl","purpose":"batch","status":"pending","file":null})");
  model::UploadRecord done = Record();
  done.status = model::UploadStatus::kCompleted;
  model::FileRecord file;
  file.id = "file-1";
  std::string json = UploadJson(done, file);
  EXPECT_NE(json.find(R"("status":"completed","file":{"id":"file-1","object":"file",)"), json.npos)
      << json;
}

TEST(UploadObject, APartHasEveryField) {
  EXPECT_EQ(
      PartJson("part_1", "upload_1", kCreated),
      R"({"id":"part_1","object":"upload.part","created_at":1700000000,"upload_id":"upload_1"})");
}

TEST(UploadCreate, ReadsEveryParameter) {
  auto create = ParseUploadCreate(
      R"({"purpose":"batch","filename":"a.jsonl","bytes":2147483648,"mime_type":"text/jsonl",
          "expires_after":{"anchor":"created_at","seconds":3600}})",
      uint64_t{8} << 30);
  ASSERT_TRUE(create) << create.error().message;
  EXPECT_EQ(create->bytes, uint64_t{2} << 30);
  EXPECT_EQ(create->filename, "a.jsonl");
  EXPECT_EQ(create->mime_type, "text/jsonl");
  EXPECT_EQ(create->purpose, "batch");
  EXPECT_EQ(create->expires_after, 1h);
}

struct BadCase {
  const char* body;
  const char* param;
  const char* code;
};

TEST(UploadCreate, EveryMistakeIsNamed) {
  for (const BadCase& bad : {
           BadCase{"{", "", "invalid_json"},
           BadCase{"{}", "bytes", "missing_required_parameter"},
           BadCase{R"({"bytes":1})", "filename", "missing_required_parameter"},
           BadCase{R"({"bytes":1,"filename":"a"})", "mime_type", "missing_required_parameter"},
           BadCase{R"({"bytes":1,"filename":"a","mime_type":"t","purpose":null})", "purpose",
                   "missing_required_parameter"},
           BadCase{R"({"bytes":0})", "bytes", "integer_below_min_value"},
           BadCase{R"({"bytes":101})", "bytes", "integer_above_max_value"},
           BadCase{R"({"bytes":"1"})", "bytes", "invalid_type"},
           BadCase{R"({"filename":""})", "filename", "string_below_min_length"},
           BadCase{R"({"purpose":"batch_output"})", "purpose", "invalid_value"},
           BadCase{R"({"expires_after":{"anchor":"x","seconds":3600}})", "expires_after.anchor",
                   "invalid_value"},
           BadCase{R"({"size":1})", "size", "unknown_parameter"},
           BadCase{R"({"bytes":1,"bytes":1})", "bytes", "duplicate_parameter"},
       }) {
    auto create = ParseUploadCreate(bad.body, 100);
    ASSERT_FALSE(create) << bad.body;
    EXPECT_EQ(create.error().status, 400);
    EXPECT_EQ(create.error().param, bad.param) << create.error().message;
    EXPECT_EQ(create.error().code, bad.code) << create.error().message;
  }
}

TEST(UploadComplete, ReadsPartsInOrderAndTheSum) {
  auto complete = ParseUploadComplete(
      R"({"md5":"D41D8CD98F00B204E9800998ECF8427E","part_ids":["part_2","part_1"]})");
  ASSERT_TRUE(complete) << complete.error().message;
  EXPECT_EQ(complete->part_ids, (std::vector<std::string>{"part_2", "part_1"}));
  EXPECT_EQ(complete->md5, "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(ParseUploadComplete(R"({"part_ids":["p"],"md5":null})")->md5, "");
}

TEST(UploadComplete, EveryMistakeIsNamed) {
  for (const BadCase& bad : {
           BadCase{"[]", "", "invalid_type"},
           BadCase{"{}", "part_ids", "missing_required_parameter"},
           BadCase{R"({"part_ids":"p"})", "part_ids", "invalid_type"},
           BadCase{R"({"part_ids":[]})", "part_ids", "array_below_min_length"},
           BadCase{R"({"part_ids":["p",1]})", "part_ids[1]", "invalid_type"},
           BadCase{R"({"part_ids":["p"],"md5":"abc"})", "md5", "invalid_value"},
       }) {
    auto complete = ParseUploadComplete(bad.body);
    ASSERT_FALSE(complete) << bad.body;
    EXPECT_EQ(complete.error().param, bad.param) << complete.error().message;
    EXPECT_EQ(complete.error().code, bad.code) << complete.error().message;
  }
}

}  // namespace
}  // namespace inferq::wire
