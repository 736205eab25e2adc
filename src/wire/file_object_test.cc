#include "wire/file_object.h"

#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

using namespace std::chrono_literals;

constexpr base::WallTime kCreated{1'700'000'000s + 999'999us};

model::FileRecord File() {
  model::FileRecord file;
  file.id = "file-1";
  file.tenant = "t";
  file.filename = "a \"b\".jsonl";
  file.purpose = "batch";
  file.bytes = 12;
  file.created = kCreated;
  return file;
}

TEST(FileObject, HasEveryFieldAndWholeSeconds) {
  model::FileRecord file = File();
  EXPECT_EQ(
      FileJson(file),
      R"({"id":"file-1","object":"file","bytes":12,"created_at":1700000000,"expires_at":null,"filename":"a \"b\".jsonl","purpose":"batch","status":"processed","status_details":null})");
}

TEST(FileObject, ExpiryIsTold) {
  model::FileRecord file = File();
  file.expires = kCreated + 1h;
  EXPECT_NE(FileJson(file).find(R"("expires_at":1700003600,)"), std::string::npos);
  EXPECT_EQ(DeletedFileJson("file-1"), R"({"id":"file-1","object":"file","deleted":true})");
}

TEST(FileObject, PurposesForUploadsAndThoseThatOnlyWeGive) {
  for (const char* both : {"assistants", "batch", "fine-tune", "vision", "user_data", "evals"}) {
    EXPECT_TRUE(IsUploadPurpose(both)) << both;
    EXPECT_TRUE(IsFilePurpose(both)) << both;
    EXPECT_NE(UploadPurposes().find(fmt::format("'{}'", both)), std::string::npos);
  }
  for (const char* ours : {"batch_output", "fine-tune-results", "assistants_output"}) {
    EXPECT_FALSE(IsUploadPurpose(ours)) << ours;
    EXPECT_TRUE(IsFilePurpose(ours)) << ours;
  }
  EXPECT_FALSE(IsFilePurpose(""));
  EXPECT_FALSE(IsFilePurpose("Batch"));
}

TEST(ListPage, HasCursorsOrNulls) {
  EXPECT_EQ(ListPage({}, false),
            R"({"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false})");
  EXPECT_EQ(
      ListPage({{"a", R"({"id":"a"})"}, {"b", R"({"id":"b"})"}}, true),
      R"({"object":"list","data":[{"id":"a"},{"id":"b"}],"first_id":"a","last_id":"b","has_more":true})");
}

ApiResult<base::Micros> FromJson(const std::string& text) {
  return ParseExpiresAfter(*ParseJson(text), "output_expires_after");
}

TEST(ExpiresAfter, IsReadFromJson) {
  EXPECT_EQ(FromJson(R"({"anchor":"created_at","seconds":3600})").value(), 1h);
  EXPECT_EQ(FromJson(R"({"anchor":"created_at","seconds":2592000})").value(), 720h);
}

struct BadExpiry {
  const char* json;
  const char* param;
  const char* code;
};

TEST(ExpiresAfter, EveryMistakeIsNamed) {
  for (const BadExpiry& bad : {
           BadExpiry{"3600", "output_expires_after", "invalid_type"},
           BadExpiry{R"({"seconds":3600})", "output_expires_after.anchor",
                     "missing_required_parameter"},
           BadExpiry{R"({"anchor":"created_at"})", "output_expires_after.seconds",
                     "missing_required_parameter"},
           BadExpiry{R"({"anchor":"now","seconds":3600})", "output_expires_after.anchor",
                     "invalid_value"},
           BadExpiry{R"({"anchor":1,"seconds":3600})", "output_expires_after.anchor",
                     "invalid_type"},
           BadExpiry{R"({"anchor":"created_at","seconds":"3600"})", "output_expires_after.seconds",
                     "invalid_type"},
           BadExpiry{R"({"anchor":"created_at","seconds":3599})", "output_expires_after.seconds",
                     "integer_below_min_value"},
           BadExpiry{R"({"anchor":"created_at","seconds":2592001})", "output_expires_after.seconds",
                     "integer_above_max_value"},
       }) {
    auto read = FromJson(bad.json);
    ASSERT_FALSE(read) << bad.json;
    EXPECT_EQ(read.error().status, 400);
    EXPECT_EQ(read.error().param, bad.param);
    EXPECT_EQ(read.error().code, bad.code) << read.error().message;
  }
}

TEST(ExpiresAfter, IsReadFromTwoFieldsOfAForm) {
  auto read = [](std::optional<std::string> anchor, std::optional<std::string> seconds) {
    return ParseExpiresAfter(anchor, seconds, "expires_after");
  };
  EXPECT_EQ(read({}, {}).value(), std::nullopt);
  EXPECT_EQ(read("created_at", "3600").value(), 1h);
  EXPECT_EQ(read("created_at", {}).error().param, "expires_after[seconds]");
  EXPECT_EQ(read({}, "3600").error().param, "expires_after[anchor]");
  for (const char* bad : {"", "x", "3600x", "3599", "-1", "99999999999999999999"}) {
    auto failed = read("created_at", bad);
    ASSERT_FALSE(failed) << bad;
    EXPECT_EQ(failed.error().param, "expires_after[seconds]");
  }
}

}  // namespace
}  // namespace inferq::wire
