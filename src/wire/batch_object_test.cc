#include "wire/batch_object.h"

#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

using namespace std::chrono_literals;
using model::BatchStatus;

constexpr base::WallTime kCreated{1'700'000'000s};

model::BatchRecord Fresh() {
  model::BatchRecord batch;
  batch.id = "batch_1";
  batch.tenant = "t";
  batch.endpoint = "/v1/chat/completions";
  batch.input_file_id = "file-1";
  batch.completion_window = "24h";
  batch.created = kCreated;
  batch.expires = kCreated + 24h;
  return batch;
}

TEST(BatchObject, AFreshOneHasEveryFieldAndNulls) {
  EXPECT_EQ(
      BatchJson(Fresh(), {}),
      R"({"id":"batch_1","object":"batch","endpoint":"/v1/chat/completions","model":null,"errors":null,)"
      R"("input_file_id":"file-1","completion_window":"24h","status":"validating","output_file_id":null,)"
      R"("error_file_id":null,"created_at":1700000000,"in_progress_at":null,"expires_at":1700086400,)"
      R"("finalizing_at":null,"completed_at":null,"failed_at":null,"expired_at":null,"cancelling_at":null,)"
      R"("cancelled_at":null,"request_counts":{"total":0,"completed":0,"failed":0},"usage":null,"metadata":null})");
}

TEST(BatchObject, ACompletedOneHasFilesCountsUsageAndMetadata) {
  model::BatchRecord batch = Fresh();
  batch.status = BatchStatus::kCompleted;
  batch.model = "m";
  batch.output_file_id = "file-2";
  batch.error_file_id = "file-3";
  batch.in_progress = kCreated + 1s;
  batch.finalizing = kCreated + 2s;
  batch.completed = kCreated + 3s;
  batch.usage = {.input_tokens = 10, .cached_tokens = 4, .output_tokens = 5};
  batch.metadata = {{"k", "v\""}};
  EXPECT_EQ(
      BatchJson(batch, {.total = 3, .completed = 2, .failed = 1}),
      R"({"id":"batch_1","object":"batch","endpoint":"/v1/chat/completions","model":"m","errors":null,)"
      R"("input_file_id":"file-1","completion_window":"24h","status":"completed","output_file_id":"file-2",)"
      R"("error_file_id":"file-3","created_at":1700000000,"in_progress_at":1700000001,"expires_at":1700086400,)"
      R"("finalizing_at":1700000002,"completed_at":1700000003,"failed_at":null,"expired_at":null,)"
      R"("cancelling_at":null,"cancelled_at":null,"request_counts":{"total":3,"completed":2,"failed":1},)"
      R"("usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":5,)"
      R"("output_tokens_details":{"reasoning_tokens":0},"total_tokens":15},"metadata":{"k":"v\""}})");
}

TEST(BatchObject, AFailedOneListsWhy) {
  model::BatchRecord batch = Fresh();
  batch.status = BatchStatus::kFailed;
  batch.failed_at = kCreated + 1s;
  batch.errors = {
      {.code = "invalid_json_line", .message = "bad", .param = "", .line = 3},
      {.code = "invalid_request", .message = "no file", .param = "file_id", .line = {}}};
  std::string json = BatchJson(batch, {});
  EXPECT_NE(
      json.find(
          R"("errors":{"object":"list","data":[)"
          R"({"code":"invalid_json_line","message":"bad","param":null,"line":3},)"
          R"({"code":"invalid_request","message":"no file","param":"file_id","line":null}]})"),
      std::string::npos)
      << json;
  EXPECT_NE(json.find(R"("usage":null)"), std::string::npos);
}

TEST(BatchCreate, ReadsEveryParameter) {
  auto batch = ParseBatchCreate(
      R"({"input_file_id":"file-1","endpoint":"/v1/completions","completion_window":"24h",
          "metadata":{"a":"1","b":"2"},"output_expires_after":{"anchor":"created_at","seconds":3600}})");
  ASSERT_TRUE(batch) << batch.error().message;
  EXPECT_EQ(batch->input_file_id, "file-1");
  EXPECT_EQ(batch->endpoint, Endpoint::kCompletions);
  EXPECT_EQ(batch->completion_window, "24h");
  ASSERT_EQ(batch->metadata.size(), 2u);
  EXPECT_EQ(batch->metadata[1], (std::pair<std::string, std::string>("b", "2")));
  EXPECT_EQ(batch->output_expires_after, 1h);
}

TEST(BatchCreate, PriorityAndDeadlineAreExtensions) {
  auto batch = ParseBatchCreate(
      R"({"input_file_id":"f","endpoint":"/v1/completions","completion_window":"24h",
          "priority":-1000,"deadline":1700000000.5})");
  ASSERT_TRUE(batch) << batch.error().message;
  EXPECT_EQ(batch->priority, -1000);
  EXPECT_EQ(batch->deadline, kCreated + 500ms);
}

/// The required parameters, and more.
std::string With(std::string_view more) {
  return fmt::format(
      R"({{"input_file_id":"f","endpoint":"/v1/chat/completions","completion_window":"24h",{}}})",
      more);
}

TEST(BatchCreate, NullsAreAbsent) {
  auto batch = ParseBatchCreate(With(R"("metadata":null,"output_expires_after":null)"));
  ASSERT_TRUE(batch) << batch.error().message;
  EXPECT_TRUE(batch->metadata.empty());
  EXPECT_FALSE(batch->output_expires_after);
}

std::string Pairs(int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += fmt::format("{}\"k{}\":\"v\"", i == 0 ? "" : ",", i);
  return all;
}

std::string Repeat(std::string_view text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; ++i) all += text;
  return all;
}

struct BadBatch {
  std::string body;
  std::string param;
  std::string code;
  std::string part;  ///< Of the message.
};

TEST(BatchCreate, EveryMistakeIsNamedInOpenAIsWords) {
  for (const BadBatch& bad : {
           BadBatch{"{", "", "invalid_json", "could not parse"},
           BadBatch{"[]", "", "invalid_type", "an array"},
           BadBatch{"{}", "input_file_id", "missing_required_parameter", "'input_file_id'"},
           BadBatch{R"({"input_file_id":"f"})", "endpoint", "missing_required_parameter", ""},
           BadBatch{R"({"input_file_id":7})", "input_file_id", "invalid_type", "a number"},
           BadBatch{
               R"({"input_file_id":"f","endpoint":"/v1/moderations"})", "endpoint", "invalid_value",
               "Invalid value: '/v1/moderations'. Supported values are: "
               "'/v1/chat/completions', '/v1/completions', '/v1/embeddings' and '/v1/responses'."},
           BadBatch{R"({"input_file_id":"f","endpoint":"/v1/completions"})", "completion_window",
                    "missing_required_parameter", "'completion_window'"},
           BadBatch{With(R"("priorty":1)"), "priorty", "unknown_parameter", "'priorty'"},
           BadBatch{With(R"("priority":1001)"), "priority", "integer_above_max_value", "1000"},
           BadBatch{With(R"("deadline":"now")"), "deadline", "invalid_type", "'deadline'"},
           BadBatch{With(R"("endpoint":"x")"), "endpoint", "duplicate_parameter", "twice"},
           BadBatch{With(R"("metadata":"x")"), "metadata", "invalid_type", "an object"},
           BadBatch{With(R"("metadata":{"tags":["a"]})"), "metadata.tags", "invalid_type",
                    "Invalid type for 'metadata.tags': expected a string, but got an array "
                    "instead."},
           BadBatch{With(R"("metadata":{"a":"1","a":"2"})"), "metadata", "duplicate_parameter", ""},
           BadBatch{With(fmt::format(R"("metadata":{{{}}})", Pairs(17))), "metadata",
                    "object_above_max_properties", "16"},
           BadBatch{With(fmt::format(R"("metadata":{{"{}":"v"}})", std::string(65, 'k'))),
                    "metadata", "property_name_above_max_length", "65"},
           BadBatch{With(fmt::format(R"("metadata":{{"k":"{}"}})", std::string(513, 'v'))),
                    "metadata.k", "string_above_max_length", "513"},
           BadBatch{With(R"("output_expires_after":{"anchor":"created_at","seconds":1})"),
                    "output_expires_after.seconds", "integer_below_min_value", "3600"},
       }) {
    auto batch = ParseBatchCreate(bad.body);
    ASSERT_FALSE(batch) << bad.body;
    EXPECT_EQ(batch.error().status, 400);
    EXPECT_EQ(batch.error().type, "invalid_request_error");
    EXPECT_EQ(batch.error().param, bad.param) << batch.error().message;
    EXPECT_EQ(batch.error().code, bad.code) << batch.error().message;
    EXPECT_NE(batch.error().message.find(bad.part), std::string::npos) << batch.error().message;
  }
}

TEST(BatchCreate, AKeyComesAsAParameterOrAHeader) {
  EXPECT_EQ(ParseBatchCreate(With(R"("idempotency_key":"k")"))->idempotency_key, "k");
  EXPECT_EQ(ParseBatchCreate(With(R"("metadata":null)"), "k")->idempotency_key, "k");
  EXPECT_EQ(ParseBatchCreate(With(R"("idempotency_key":"k")"), "k")->idempotency_key, "k");
  EXPECT_EQ(ParseBatchCreate(With(R"("idempotency_key":null)"))->idempotency_key, "");
  auto differ = ParseBatchCreate(With(R"("idempotency_key":"k")"), "other");
  ASSERT_FALSE(differ);
  EXPECT_EQ(differ.error().status, 400);
  EXPECT_EQ(differ.error().param, "idempotency_key");
  EXPECT_NE(differ.error().message.find("Idempotency-Key"), std::string::npos);
  EXPECT_NE(differ.error().message.find("'idempotency_key'"), std::string::npos);
  for (const std::string& bad :
       {std::string("\"\""), "\"" + std::string(129, 'k') + "\"", std::string("7")}) {
    auto refused = ParseBatchCreate(With("\"idempotency_key\":" + bad));
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().param, "idempotency_key");
  }
  EXPECT_EQ(ParseBatchCreate(With(R"("metadata":null)"), std::string(129, 'k')).error().param,
            "Idempotency-Key");
}

TEST(BatchCreate, TheHashIsOfTheParametersWithoutTheKey) {
  auto hash = [](std::string_view more) { return ParseBatchCreate(With(more))->content_hash; };
  uint64_t plain = hash(R"("metadata":{"a":"1","b":"2"})");
  EXPECT_EQ(hash(R"("metadata":{"b":"2","a":"1"},"idempotency_key":"k")"), plain);
  EXPECT_EQ(hash(R"( "output_expires_after": null, "metadata": {"b":"2", "\u0061":"1"})"), plain);
  EXPECT_NE(hash(R"("metadata":{"a":"1","b":"3"})"), plain);
  EXPECT_NE(hash(R"("metadata":{"a":"1"})"), plain);
}

TEST(BatchCreate, TheLimitsOfMetadataAreInCharacters) {
  EXPECT_TRUE(ParseBatchCreate(With(fmt::format(R"("metadata":{{{}}})", Pairs(16)))));
  EXPECT_TRUE(ParseBatchCreate(
      With(fmt::format(R"("metadata":{{"{}":"{}"}})", Repeat("键", 64), Repeat("值", 512)))));
  EXPECT_FALSE(ParseBatchCreate(With(fmt::format(R"("metadata":{{"{}":"v"}})", Repeat("键", 65)))));
}

}  // namespace
}  // namespace inferq::wire
