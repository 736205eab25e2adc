#include "client/worker_answers.h"

#include "wire/json.h"

namespace inferq::client {
namespace {

using base::Code;
using base::Result;
using wire::JsonElements;
using wire::JsonMembers;
using wire::JsonType;
using wire::JsonValue;

// Ids and fences are plain: there is nothing to decode.
std::string_view Plain(JsonValue value) {
  if (value.type() != JsonType::kString) return {};
  return value.text().substr(1, value.text().size() - 2);
}

Result<ClaimedTask> ReadClaimed(JsonValue object) {
  ClaimedTask task;
  for (JsonMembers member(object); member.Next();) {
    if (member.KeyIs("id")) task.id = Plain(member.value());
    if (member.KeyIs("fence")) task.fence = Plain(member.value());
    if (member.KeyIs("payload")) task.payload = member.value().text();
  }
  if (!task.id.empty() && !task.fence.empty()) return task;
  return base::Fail(Code::kUnavailable, "a claimed task lacks its id or its fence: {}",
                    object.text().substr(0, 200));
}

Result<std::vector<ClaimedTask>> ReadAllClaimed(JsonValue array) {
  std::vector<ClaimedTask> tasks;
  for (JsonElements element(array); element.Next();) {
    INFERQ_ASSIGN(ClaimedTask task, ReadClaimed(element.value()));
    tasks.push_back(task);
  }
  return tasks;
}

void ReadEnd(JsonValue object, CompleteAnswer& answer) {
  auto ok = object.Find("ok");
  if (ok && ok->AsBool().value_or(false)) {
    ++answer.done;
    return;
  }
  ++answer.refused;
  auto error = object.Find("error");
  if (error && answer.first_refusal.empty()) answer.first_refusal = error->text();
}

Result<JsonValue> ParseAnswer(std::string_view json) {
  auto parsed = wire::ParseJson(json);
  if (parsed && parsed->type() == JsonType::kObject) return *parsed;
  return base::Fail(Code::kUnavailable, "the answer is no JSON object: {}", json.substr(0, 200));
}

}  // namespace

Result<std::vector<ClaimedTask>> ParseClaimAnswer(std::string_view json) {
  INFERQ_ASSIGN(JsonValue answer, ParseAnswer(json));
  auto tasks = answer.Find("tasks");
  if (tasks && tasks->type() == JsonType::kArray) return ReadAllClaimed(*tasks);
  return base::Fail(Code::kUnavailable, "the answer to a claim has no \"tasks\"");
}

Result<CompleteAnswer> ParseCompleteAnswer(std::string_view json) {
  INFERQ_ASSIGN(JsonValue object, ParseAnswer(json));
  CompleteAnswer answer;
  bool found = false;
  for (JsonMembers member(object); member.Next();) {
    if (member.KeyIs("tasks")) {
      found = member.value().type() == JsonType::kArray;
      for (JsonElements e(member.value()); e.Next();) ReadEnd(e.value(), answer);
    } else if (member.KeyIs("claimed")) {
      INFERQ_ASSIGN(answer.claimed, ReadAllClaimed(member.value()));
    }
  }
  if (found) return answer;
  return base::Fail(Code::kUnavailable, "the answer to a completion has no \"tasks\"");
}

}  // namespace inferq::client
