// One body of a task's creation, edit or choice: what is accepted lies within its bounds and is
// stored whole.
#include <string>
#include <string_view>

#include "base/check.h"
#include "model/task.h"
#include "refusal.h"
#include "wire/task_create.h"
#include "wire/task_object.h"

using namespace inferq;
using namespace inferq::wire;

namespace {

void CheckTask(const NewTask& task, const TaskCreate& create) {
  INFERQ_CHECK(task.kind.empty() != task.model.empty());
  INFERQ_CHECK(task.kind.empty() || IsKind(task.kind));
  const model::TaskSpec& spec = task.spec;
  INFERQ_CHECK(spec.priority >= model::kMinPriority && spec.priority <= model::kMaxPriority);
  INFERQ_CHECK(spec.max_attempts >= 1 && spec.max_attempts <= 100);
  INFERQ_CHECK(spec.idempotency_key.size() <= 128);
  INFERQ_CHECK(spec.payload.offset + spec.payload.length <= create.payloads.size());
  std::string_view stored =
      std::string_view(create.payloads).substr(spec.payload.offset, spec.payload.length);
  if (!task.kind.empty()) {
    INFERQ_CHECK(ParseJson(stored).has_value());
    return;
  }
  auto request = ParseStoredRequest(stored);
  INFERQ_CHECK(request && request->body == task.request->text());
}

void Create(std::string_view text, std::string_view key) {
  auto create = ParseTaskCreate(text, key);
  if (!create) return fuzz::CheckRefusal(create.error());
  INFERQ_CHECK(!create->tasks.empty() && create->tasks.size() <= kMaxTasksPerCall);
  INFERQ_CHECK(!create->single || create->tasks.size() == 1);
  for (const NewTask& task : create->tasks) CheckTask(task, *create);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Create(text, "");
  Create(text, "key");
  Create(R"({"kind":"a","payload":1})", text);
  auto patch = ParseTaskPatch(text);
  if (!patch) fuzz::CheckRefusal(patch.error());
  if (patch) INFERQ_CHECK(patch->priority || patch->deadline);
  auto chosen = ParseTaskSelection(text);
  if (!chosen) fuzz::CheckRefusal(chosen.error());
  if (chosen) INFERQ_CHECK(chosen->status || !chosen->kind.empty());
  if (auto version = ParseIfMatch(text); !version) fuzz::CheckRefusal(version.error());
  (void)ParseStoredRequest(text);
  return 0;
}
