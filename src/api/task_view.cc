#include "api/task_view.h"

#include "service/lane.h"
#include "wire/fields.h"

namespace inferq::api {

namespace {

wire::TaskObject ObjectOf(const service::TaskView& view) {
  const std::string& lane = view.record.spec.lane;
  return {.record = view.record,
          .kind = service::KindOf(lane),
          .endpoint = view.endpoint,
          .model = lane,
          .batch_id = {},
          .ending = view.ending};
}

std::string TimeText(base::WallTime time) {
  std::string text;
  wire::AppendTime(text, time);
  return text;
}

std::vector<std::string> ReasonsOf(const queue::Explanation& why) {
  std::vector<std::string> reasons;
  auto say = [&reasons](bool holds, auto&& sentence) {
    if (holds) reasons.emplace_back(sentence);
  };
  bool waits = why.state == model::State::kBlocked || why.state == model::State::kQueued;
  say(IsTerminal(why.state), fmt::format("It has ended as {}.", StateName(why.state)));
  say(!why.worker.empty(), fmt::format("The worker \"{}\" has it.", why.worker));
  say(!why.parents.empty(), fmt::format("It waits for {} parents to end.", why.parents.size()));
  if (why.not_before) {
    reasons.push_back(fmt::format("It may not start before {}.", TimeText(*why.not_before)));
  }
  if (why.retry_at) {
    reasons.push_back(
        fmt::format("An attempt has failed; the next is due at {}.", TimeText(*why.retry_at)));
  }
  say(why.batch_paused, "Its batch is paused.");
  say(why.lane_paused, "Its model or kind is paused.");
  say(why.tenant_paused, "Its tenant is paused.");
  say(why.tenant_capped, "As many tasks of its tenant run as may.");
  if (why.throttled_until) {
    reasons.push_back(fmt::format("Its tenant has used its tokens per minute, until {}.",
                                  TimeText(*why.throttled_until)));
  }
  bool queued = why.state == model::State::kQueued;
  say(queued && why.ahead > 0, fmt::format("At most {} tasks go before it.", why.ahead));
  say(queued && why.claims_waiting == 0, "Nobody asks for work of its model or kind now.");
  say(waits && reasons.empty(), "It is next.");
  return reasons;
}

class Fields {
 public:
  Fields& Raw(std::string_view name, std::string_view json) {
    out_ += out_.empty() ? '{' : ',';
    wire::AppendJsonString(out_, name);
    out_.append(":").append(json);
    return *this;
  }
  Fields& Time(std::string_view name, std::optional<base::WallTime> time) {
    return Raw(name, time ? TimeText(*time) : "null");
  }
  Fields& Flag(std::string_view name, bool flag) { return Raw(name, flag ? "true" : "false"); }
  Fields& Number(std::string_view name, double number) {
    return Raw(name, wire::JsonNumber(number));
  }
  Fields& Texts(std::string_view name, const std::vector<std::string>& texts) {
    std::string list = "[";
    for (const std::string& text : texts) {
      if (list.size() > 1) list += ',';
      wire::AppendJsonString(list, text);
    }
    return Raw(name, list += ']');
  }
  std::string Done() { return std::move(out_) + "}"; }

 private:
  std::string out_;
};

}  // namespace

std::string TaskJson(const service::TaskView& view) {
  std::string out;
  wire::AppendTask(out, ObjectOf(view));
  return out;
}

std::string TaskPageJson(const service::TaskPage& page) {
  std::vector<wire::TaskObject> objects;
  for (const service::TaskView& view : page.tasks) objects.push_back(ObjectOf(view));
  return wire::TaskListJson(objects, page.has_more);
}

std::string ExplanationJson(const queue::Explanation& why) {
  std::vector<std::string> parents;
  for (model::TaskId parent : why.parents) parents.push_back(ToString(parent));
  return Fields()
      .Raw("object", "\"task.explanation\"")
      .Raw("status", wire::JsonString(StateName(why.state)))
      .Texts("reasons", ReasonsOf(why))
      .Texts("parents", parents)
      .Time("not_before", why.not_before)
      .Time("retry_at", why.retry_at)
      .Raw("worker", why.worker.empty() ? "null" : wire::JsonString(why.worker))
      .Flag("batch_paused", why.batch_paused)
      .Flag("lane_paused", why.lane_paused)
      .Flag("tenant_paused", why.tenant_paused)
      .Flag("tenant_capped", why.tenant_capped)
      .Time("throttled_until", why.throttled_until)
      .Raw("ahead", std::to_string(why.ahead))
      .Raw("claims_waiting", std::to_string(why.claims_waiting))
      .Number("tenant_virtual_time", why.tenant_virtual_time)
      .Number("least_virtual_time", why.least_virtual_time)
      .Number("bound_seconds", std::chrono::duration<double>(why.bound).count())
      .Time("expected_start", why.expected_start)
      .Done();
}

void AppendClaimedWork(std::string& out, const std::vector<service::ClaimedWork>& claimed) {
  constexpr size_t kBytesAround = 256;
  size_t bytes = 0;
  for (const service::ClaimedWork& work : claimed) bytes += work.payload.size() + kBytesAround;
  out.reserve(out.size() + bytes);
  for (const service::ClaimedWork& work : claimed) {
    const model::TaskSpec& spec = work.task.spec;
    wire::AppendClaimed(out, {.id = work.task.id,
                              .fence = work.task.fence,
                              .kind = service::KindOf(spec.lane),
                              .attempt = work.task.attempt,
                              .alone = work.task.alone,
                              .payload = work.payload,
                              .checkpoint = work.task.checkpoint,
                              .deadline = spec.deadline,
                              .expires_at = spec.expires_at,
                              .traceparent = spec.traceparent});
  }
}

}  // namespace inferq::api
