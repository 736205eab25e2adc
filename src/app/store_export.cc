#include "app/store_export.h"

#include "queue/local/journal_visit.h"
#include "wire/json.h"

namespace inferq::app {
namespace {

using base::Result;
using wire::JsonString;

constexpr size_t kPiece = 1 << 16;

// Appends members to a JSON object; what is not set or empty is left out.
class Object {
 public:
  Object& Add(std::string_view name, std::string_view json) {
    text_ += fmt::format("{}\"{}\":{}", text_.size() > 1 ? "," : "", name, json);
    return *this;
  }
  Object& Number(std::string_view name, uint64_t n) { return Add(name, std::to_string(n)); }
  Object& Text(std::string_view name, std::string_view text) {
    return text.empty() ? *this : Add(name, JsonString(text));
  }
  Object& Seconds(std::string_view name, std::optional<base::WallTime> time) {
    if (!time) return *this;
    auto micros = static_cast<double>(time->time_since_epoch().count());
    return Add(name, wire::JsonNumber(micros / 1e6));
  }
  Object& Bytes(std::string_view name, const model::Extent& extent) {
    if (extent.length == 0) return *this;
    return Add(name, Object()
                         .Number("blob", extent.blob)
                         .Number("offset", extent.offset)
                         .Number("length", extent.length)
                         .End());
  }
  Object& Ending(model::State state, const model::Outcome& outcome, uint64_t number) {
    if (!IsTerminal(state)) return *this;
    Number("finish_sequence", number).Bytes("result", outcome.result);
    if (state == model::State::kSucceeded) return *this;
    return Add(
        "error",
        Object().Text("code", base::CodeName(outcome.code)).Text("message", outcome.message).End());
  }
  std::string End() { return text_ + "}"; }

 private:
  std::string text_ = "{";
};

std::string Ids(const std::vector<model::TaskId>& ids) {
  std::string text;
  for (model::TaskId id : ids)
    text += fmt::format("{}\"{}\"", text.empty() ? "" : ",", ToString(id));
  return "[" + text + "]";
}

// Gathers small pieces.
class Output {
 public:
  explicit Output(const std::function<Result<>(std::string_view)>& out) : out_(out) {}
  Result<> Write(const std::string& line) {
    buffer_ += line;
    return buffer_.size() < kPiece ? Result<>() : Flush();
  }
  Result<> Flush() {
    Result<> done = out_(buffer_);
    buffer_.clear();
    return done;
  }

 private:
  const std::function<Result<>(std::string_view)>& out_;
  std::string buffer_;
};

}  // namespace

std::string TaskJson(const queue::SpecRow& spec, const queue::StateRow& state) {
  const model::TaskSpec& s = spec.spec;
  Object task;
  task.Text("id", ToString(spec.id)).Text("tenant", s.tenant).Text("lane", s.lane);
  if (s.batch) task.Text("batch", ToString(s.batch)).Number("line", s.line);
  task.Text("state", StateName(state.state))
      .Number("version", state.version)
      .Number("generation", state.generation)
      .Number("attempts", state.attempts)
      .Number("max_attempts", s.max_attempts)
      .Add("priority", std::to_string(s.priority))
      .Number("cost", s.cost)
      .Text("idempotency_key", s.idempotency_key)
      .Text("traceparent", s.traceparent)
      .Seconds("submitted_at", spec.submitted)
      .Seconds("not_before", s.not_before)
      .Seconds("deadline", s.deadline)
      .Seconds("expires_at", s.expires_at)
      .Seconds("retry_at", state.retry_at);
  if (!s.parents.empty()) task.Add("parents", Ids(s.parents));
  task.Bytes("request", s.payload).Text("worker", state.lease_worker);
  return task.Ending(state.state, state.outcome, state.finish_sequence).End() + "\n";
}

std::string LineJson(const queue::LineRow& line) {
  return Object()
             .Text("batch", ToString(line.batch))
             .Number("line", line.line)
             .Text("state", StateName(line.state))
             .Number("version", line.version)
             .Number("generation", line.generation)
             .Number("attempts", line.attempts)
             .Ending(line.state, line.outcome, line.finish_sequence)
             .End() +
         "\n";
}

Result<> ExportStore(const std::string& directory,
                     const std::function<Result<>(std::string_view)>& out) {
  Output output(out);
  INFERQ_TRY(queue::ReadJournal(
      directory + "/journal.db",
      [&](queue::SpecRow spec, queue::StateRow state, const std::string&) {
        return output.Write(TaskJson(spec, state));
      },
      [&](const queue::LineRow& line) { return output.Write(LineJson(line)); }));
  return output.Flush();
}

}  // namespace inferq::app
