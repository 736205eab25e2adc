#include "wire/task_object.h"

#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

using namespace std::chrono_literals;
using model::State;

model::TaskRecord Fresh() {
  model::TaskRecord record;
  record.id = model::TaskId{0x1f};
  record.submitted = base::WallTime(1'700'000'000s + 250ms);
  return record;
}

std::string Json(const TaskObject& task) {
  std::string out;
  AppendTask(out, task);
  return out;
}

TEST(TaskObject, AFreshOneHasEveryField) {
  model::TaskRecord record = Fresh();
  EXPECT_EQ(
      Json({.record = record, .kind = "ocr"}),
      R"({"id":"task_000000000000001f","object":"task","kind":"ocr","status":"queued","version":1,)"
      R"("generation":0,"priority":0,"attempts":0,"max_attempts":3,"created_at":1700000000.25,)"
      R"("not_before":null,"deadline":null,"expires_at":null,"parents":[],"batch_id":null,)"
      R"("lease":null,"result":null,"error":null})");
}

TEST(TaskObject, AModelsTaskNamesEndpointAndModel) {
  model::TaskRecord record = Fresh();
  record.spec.parents = {model::TaskId{1}, model::TaskId{2}};
  record.lease = model::Lease{.worker = "w\"", .fence = {}, .expires = {}};
  std::string json =
      Json({.record = record, .endpoint = "/v1/completions", .model = "m", .batch_id = "b"});
  EXPECT_NE(json.find(R"("endpoint":"/v1/completions","model":"m")"), json.npos);
  EXPECT_NE(json.find(R"("parents":["task_0000000000000001","task_0000000000000002"])"), json.npos);
  EXPECT_NE(json.find(R"("batch_id":"b","lease":{"worker":"w\""})"), json.npos);
}

TEST(TaskObject, AnEndingIsAResultOrAnError) {
  model::TaskRecord record = Fresh();
  record.state = State::kSucceeded;
  std::string json = Json({.record = record, .kind = "k", .ending = R"({"a": 1})"});
  EXPECT_TRUE(json.ends_with(R"("result":{"a": 1},"error":null})")) << json;
  record.state = State::kFailed;
  json = Json({.record = record, .kind = "k", .ending = R"({"code":"c","message":"m"})"});
  EXPECT_TRUE(json.ends_with(R"("result":null,"error":{"code":"c","message":"m"}})")) << json;
  record.state = State::kExpired;
  record.outcome = {.code = base::Code::kDeadlineExceeded, .message = "late", .result = {}};
  json = Json({.record = record, .kind = "k"});
  EXPECT_TRUE(
      json.ends_with(R"("result":null,"error":{"code":"deadline_exceeded","message":"late"}})"))
      << json;
}

TEST(TaskObject, Lists) {
  EXPECT_EQ(
      CreatedTasksJson({model::TaskId{1}, model::TaskId{2}}),
      R"({"object":"list","data":[{"id":"task_0000000000000001"},{"id":"task_0000000000000002"}]})");
  EXPECT_EQ(TaskListJson({}, false),
            R"({"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false})");
  model::TaskRecord record = Fresh();
  std::string json = TaskListJson({{.record = record, .kind = "k"}}, true);
  EXPECT_TRUE(json.ends_with(
      R"(],"first_id":"task_000000000000001f","last_id":"task_000000000000001f","has_more":true})"));
}

TEST(TaskPatch, SetsAndClears) {
  auto patch = ParseTaskPatch(R"({"priority":5,"deadline":1800000000})").value();
  EXPECT_EQ(patch.priority, 5);
  EXPECT_EQ(*patch.deadline, base::WallTime(1800000000s));
  patch = ParseTaskPatch(R"({"deadline":null})").value();
  ASSERT_TRUE(patch.deadline);
  EXPECT_FALSE(*patch.deadline);
  EXPECT_FALSE(patch.priority);
  EXPECT_EQ(ParseTaskPatch("{}").error().status, 400);
  EXPECT_EQ(ParseTaskPatch(R"({"priority":null})").error().param, "priority");
  EXPECT_EQ(ParseTaskPatch(R"({"status":"queued"})").error().param, "status");
}

TEST(TaskSelection, NeedsOneField) {
  auto chosen = ParseTaskSelection(R"({"status":"queued","kind":"k"})").value();
  EXPECT_EQ(chosen.status, State::kQueued);
  EXPECT_EQ(chosen.kind, "k");
  EXPECT_EQ(ParseTaskSelection("{}").error().status, 400) << "all tasks by mistake";
  EXPECT_EQ(ParseTaskSelection(R"({"status":"done"})").error().param, "status");
  EXPECT_EQ(ParseTaskSelection(R"({"tenant":"x"})").error().param, "tenant");
  EXPECT_EQ(ParseTaskSelection(R"({"kind":null})").error().param, "kind");
}

TEST(IfMatch, IsAVersion) {
  EXPECT_EQ(ParseIfMatch("\"7\"").value(), 7u);
  EXPECT_EQ(ParseIfMatch("7").value(), 7u);
  EXPECT_EQ(ParseIfMatch("*").value(), std::nullopt);
  for (const char* bad : {"", "\"", "\"\"", "W/\"7\"", "seven", "7x", "-1"}) {
    EXPECT_FALSE(ParseIfMatch(bad)) << bad;
  }
}

}  // namespace
}  // namespace inferq::wire
