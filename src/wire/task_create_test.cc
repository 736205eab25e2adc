#include "wire/task_create.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::SizeIs;

ApiError Refusal(std::string_view body, std::string_view key = "") {
  auto create = ParseTaskCreate(body, key);
  EXPECT_FALSE(create) << body;
  return create ? ApiError() : create.error();
}

uint64_t HashOf(std::string_view body) {
  return ParseTaskCreate(body, "k").value().tasks.front().spec.content_hash;
}

TEST(TaskCreate, AKindWithItsDefaults) {
  auto create = ParseTaskCreate(R"({"kind":"ocr","payload":{"a": [1, 2.50]}})", "").value();
  EXPECT_TRUE(create.single);
  ASSERT_THAT(create.tasks, SizeIs(1));
  const NewTask& task = create.tasks.front();
  EXPECT_EQ(task.kind, "ocr");
  EXPECT_EQ(create.payloads, R"({"a": [1, 2.50]})") << "as written";
  EXPECT_EQ(task.spec.payload.length, create.payloads.size());
  EXPECT_EQ(task.spec.priority, 0);
  EXPECT_EQ(task.spec.max_attempts, 3u);
  EXPECT_EQ(task.spec.cost, 1u);
  EXPECT_FALSE(task.spec.deadline || task.spec.not_before || task.spec.expires_at);
}

TEST(TaskCreate, EveryOption) {
  auto create = ParseTaskCreate(R"({"kind":"k","payload":null,"idempotency_key":"x","priority":-7,
      "not_before":1800000000,"deadline":1800000000.25,"expires_at":1800000001,"max_attempts":5,
      "cost":9,"parents":["task_0000000000000005","#0"],"parent_policy":"all_terminal"})",
                                "")
                    .value();
  const NewTask& task = create.tasks.front();
  EXPECT_EQ(create.payloads, "null");
  EXPECT_EQ(task.spec.idempotency_key, "x");
  EXPECT_EQ(task.spec.priority, -7);
  EXPECT_EQ(task.spec.not_before, base::WallTime(1800000000s));
  EXPECT_EQ(task.spec.deadline, base::WallTime(1800000000s + 250ms));
  EXPECT_EQ(task.spec.expires_at, base::WallTime(1800000001s));
  EXPECT_EQ(task.spec.max_attempts, 5u);
  EXPECT_EQ(task.spec.cost, 9u);
  ASSERT_THAT(task.parents, SizeIs(2));
  EXPECT_EQ(task.parents[0].id, model::TaskId{5});
  EXPECT_EQ(task.parents[1].index, 0u);
  EXPECT_EQ(task.spec.parent_policy, model::ParentPolicy::kAllTerminal);
}

TEST(TaskCreate, ARequestToAModelIsStoredWithItsEndpoint) {
  auto create =
      ParseTaskCreate(R"({"endpoint":"/v1/completions","body":{"model":"m","prompt":"}"}})", "")
          .value();
  EXPECT_EQ(create.tasks.front().model, "m");
  auto stored = ParseStoredRequest(create.payloads).value();
  EXPECT_EQ(stored.endpoint, Endpoint::kCompletions);
  EXPECT_EQ(stored.body, R"({"model":"m","prompt":"}"})");
  EXPECT_EQ(StoredEndpoint(create.payloads.substr(0, kEndpointBytes)), Endpoint::kCompletions);
  EXPECT_EQ(ParseStoredRequest("{}").error().code(), base::Code::kDataLoss);
}

TEST(TaskCreate, ManyLieOneBehindTheOther) {
  auto create =
      ParseTaskCreate(
          R"({"tasks":[{"kind":"a","payload":"one"},{"kind":"b","payload":[2]},{"kind":"c","payload":3}]})",
          "")
          .value();
  EXPECT_FALSE(create.single);
  ASSERT_THAT(create.tasks, SizeIs(3));
  std::vector<std::string> payloads;
  for (const NewTask& task : create.tasks) {
    payloads.push_back(create.payloads.substr(task.spec.payload.offset, task.spec.payload.length));
  }
  EXPECT_THAT(payloads, ::testing::ElementsAre(R"("one")", "[2]", "3"));
}

TEST(TaskCreate, TheHashIsOfTheValueNotOfTheText) {
  uint64_t hash = HashOf(R"({"kind":"k","payload":{"a":1,"b":"é"}})");
  EXPECT_EQ(HashOf(R"({ "payload" : {"b":"\u00e9", "a":1.0}, "kind":"k", "priority":0 })"), hash);
  EXPECT_NE(HashOf(R"({"kind":"k","payload":{"a":2,"b":"é"}})"), hash);
  EXPECT_NE(HashOf(R"({"kind":"k2","payload":{"a":1,"b":"é"}})"), hash);
  EXPECT_NE(HashOf(R"({"kind":"k","payload":{"a":1,"b":"é"},"priority":1})"), hash);
  EXPECT_NE(HashOf(R"({"kind":"k","payload":{"a":1,"b":"é"},"deadline":1800000000})"), hash);
  EXPECT_NE(HashOf(R"({"kind":"k","payload":{"a":1,"b":"é"},"max_attempts":4})"), hash);
  EXPECT_NE(HashOf(R"({"kind":"k","payload":{"a":1,"b":"é"},"parents":["#0"]})"), hash);
}

TEST(TaskCreate, TheHeadersKeyIsTheTasks) {
  auto create = ParseTaskCreate(R"({"kind":"k","payload":1})", "h").value();
  EXPECT_EQ(create.tasks.front().spec.idempotency_key, "h");
  EXPECT_TRUE(ParseTaskCreate(R"({"kind":"k","payload":1,"idempotency_key":"h"})", "h"));
  ApiError other = Refusal(R"({"kind":"k","payload":1,"idempotency_key":"i"})", "h");
  EXPECT_EQ(other.status, 409);
  EXPECT_TRUE(other.permanent);
  EXPECT_EQ(Refusal(R"({"tasks":[{"kind":"k","payload":1}]})", "h").param, "Idempotency-Key");
  EXPECT_EQ(Refusal(R"({"kind":"k","payload":1})", std::string(129, 'h')).param, "Idempotency-Key");
}

TEST(TaskCreate, RefusalsNameTheField) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"kind":"k"})", "payload"},
      {R"({"payload":1})", "kind"},
      {R"({"kind":7,"payload":1})", "kind"},
      {R"({"kind":"","payload":1})", "kind"},
      {R"({"kind":"a/b","payload":1})", "kind"},
      {R"({"kind":"@a","payload":1})", "kind"},
      {R"({"kind":"a\u0000b","payload":1})", "kind"},
      {R"({"kind":"k","payload":1,"payload":2})", "payload"},
      {R"({"kind":"k","payload":1,"prio":2})", "prio"},
      {R"({"kind":"k","payload":1,"priority":1001})", "priority"},
      {R"({"kind":"k","payload":1,"priority":1.5})", "priority"},
      {R"({"kind":"k","payload":1,"priority":"1"})", "priority"},
      {R"({"kind":"k","payload":1,"deadline":"soon"})", "deadline"},
      {R"({"kind":"k","payload":1,"deadline":-1})", "deadline"},
      {R"({"kind":"k","payload":1,"deadline":1e300})", "deadline"},
      {R"({"kind":"k","payload":1,"max_attempts":0})", "max_attempts"},
      {R"({"kind":"k","payload":1,"cost":0})", "cost"},
      {R"({"kind":"k","payload":1,"parents":"task_0000000000000005"})", "parents"},
      {R"({"kind":"k","payload":1,"parents":["#-1"]})", "parents"},
      {R"({"kind":"k","payload":1,"parents":["5"]})", "parents"},
      {R"({"kind":"k","payload":1,"parents":[5]})", "parents"},
      {R"({"kind":"k","payload":1,"parent_policy":"any"})", "parent_policy"},
      {R"({"kind":"k","payload":1,"idempotency_key":""})", "idempotency_key"},
      {R"({"kind":"k","payload":1,"body":{}})", "body"},
      {R"({"kind":"k","payload":1,"endpoint":"/v1/completions"})", "endpoint"},
      {R"({"endpoint":"/v1/moderations","body":{"model":"m"}})", "endpoint"},
      {R"({"endpoint":"/v1/completions","body":[]})", "body"},
      {R"({"endpoint":"/v1/completions","body":{}})", "body.model"},
      {R"({"endpoint":"/v1/completions","body":{"model":7}})", "body.model"},
      {R"({"endpoint":"/v1/completions","body":{"model":"m","stream":true}})", "body.stream"},
      {R"({"endpoint":"/v1/completions","body":{"model":"m"},"cost":5})", "cost"},
      {R"({"endpoint":"/v1/completions","payload":1,"body":{"model":"m"}})", "payload"},
      {R"({"tasks":[]})", "tasks"},
      {R"({"tasks":{}})", "tasks"},
      {R"({"tasks":[1]})", "tasks[0]"},
      {R"({"tasks":[{"kind":"k","payload":1},{"kind":"k","payload":1,"priority":"x"}]})",
       "tasks[1].priority"},
      {R"({"tasks":[{"kind":"k","payload":1}],"kind":"k"})", "kind"},
  };
  for (const auto& [body, param] : cases) {
    ApiError error = Refusal(body);
    EXPECT_EQ(error.param, param) << body;
    EXPECT_EQ(error.status, 400) << body;
  }
}

TEST(TaskCreate, NoJsonIsRefused) {
  for (const char* body :
       {"", "[]", "7", "{", R"({"kind":"k","payload":01})", "{\"kind\":\"\xff\"}"}) {
    EXPECT_EQ(Refusal(body).status, 400) << body;
  }
}

TEST(TaskCreate, ThereIsALimitOfTasks) {
  auto many = [](size_t count) {
    std::string body = R"({"tasks":[)";
    for (size_t i = 0; i < count; ++i) body += R"({"kind":"k","payload":1},)";
    body.back() = ']';
    return body + "}";
  };
  EXPECT_TRUE(ParseTaskCreate(many(kMaxTasksPerCall), ""));
  EXPECT_EQ(Refusal(many(kMaxTasksPerCall + 1)).param, "tasks");
}

TEST(TaskCreate, APayloadHasALimit) {
  std::string text(kMaxPayloadBytes - 2, 'x');
  EXPECT_TRUE(ParseTaskCreate(R"({"kind":"k","payload":")" + text + "\"}", ""));
  ApiError error = Refusal(R"({"kind":"k","payload":"x)" + text + "\"}");
  EXPECT_EQ(error.param, "payload");
  EXPECT_THAT(error.message, HasSubstr("1048577 bytes"));
}

}  // namespace
}  // namespace inferq::wire
