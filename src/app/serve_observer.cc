#include "app/serve_observer.h"

#include <algorithm>

#include "obs/trace.h"

namespace inferq::app {
namespace {

using obs::Level;

double Seconds(base::Micros duration) { return std::chrono::duration<double>(duration).count(); }

std::string_view AttemptName(service::Attempt::Result result) {
  using enum service::Attempt::Result;
  switch (result) {
    case kSucceeded:
      return "succeeded";
    case kFailed:
      return "failed";
    case kReleased:
      return "released";
    case kLost:
      return "lost";
  }
  return "lost";
}

// Labels have few values, whatever clients send.
std::string_view MethodLabel(std::string_view method) {
  constexpr std::string_view kKnown[] = {"GET",   "HEAD",   "POST",   "PUT",
                                         "PATCH", "DELETE", "OPTIONS"};
  return std::ranges::find(kKnown, method) != std::end(kKnown) ? method : "other";
}

Level LevelOf(int status) { return status >= 500 ? Level::kWarning : Level::kInfo; }

}  // namespace

ServeObserver::ServeObserver(const base::Clock& clock, obs::Logger& log, obs::Registry& metrics)
    : clock_(clock),
      log_(log),
      metrics_(metrics),
      ready_(metrics.MakeGauge("inferq_ready", "1 while the server takes new work.")),
      online_(metrics.MakeGauge("inferq_online_requests", "Online requests that wait or run now.")),
      leases_(metrics.MakeGauge("inferq_leases", "Durable tasks that are claimed now.")),
      commits_(metrics.MakeCounter("inferq_commits_total", "Groups of changes made durable.")),
      commit_seconds_(
          metrics.MakeCounter("inferq_commit_seconds_total", "Time of all commits together.")) {
  for (int i = 0; i < model::kStateCount; ++i) {
    std::string name(model::StateName(static_cast<model::State>(i)));
    by_state_.emplace(
        name, metrics.MakeGauge("inferq_tasks", "Durable tasks in the queue.", {{"state", name}}));
  }
}

void ServeObserver::StoreOpened() { log_.Write(Level::kInfo, "store.opened", {}); }

void ServeObserver::StoreClosed(const std::string& reason) {
  if (reason.empty()) return log_.Write(Level::kInfo, "store.closed", {});
  log_.Write(Level::kError, "store.failed", {{"reason", reason}});
}

void ServeObserver::FileStored(const service::Caller& caller, const model::FileRecord& file) {
  log_.Write(Level::kInfo, "file.stored",
             {{"file", file.id},
              {"tenant", file.tenant},
              {"purpose", file.purpose},
              {"bytes", file.bytes},
              {"request_id", caller.request_id},
              {"trace_id", obs::TraceIdOf(caller.traceparent)}});
}

void ServeObserver::FileDeleted(const model::FileRecord& file) {
  log_.Write(Level::kInfo, "file.deleted", {{"file", file.id}, {"tenant", file.tenant}});
}

void ServeObserver::BatchMoved(const model::BatchRecord& batch) {
  std::string status(model::BatchStatusName(batch.status));
  std::string trace_id = obs::TraceIdOf(batch.traceparent);
  log_.Write(Level::kInfo, "batch." + status,
             {{"batch", batch.id},
              {"tenant", batch.tenant},
              {"lines", batch.lines},
              {"succeeded", batch.succeeded},
              {"failed", batch.failed},
              {"problems", batch.errors.size()},
              {"trace_id", trace_id}});
  metrics_
      .MakeCounter("inferq_batches_total", "Batches that came into a state.", {{"status", status}})
      .Add();
}

void ServeObserver::WebhookAttempted(const std::string& batch,
                                     const model::WebhookDelivery& delivery) {
  std::string status(model::DeliveryStatusName(delivery.status));
  bool failed = delivery.status == model::DeliveryStatus::kFailed;
  log_.Write(failed ? Level::kWarning : Level::kInfo, "webhook." + status,
             {{"batch", batch},
              {"attempts", delivery.attempts},
              {"answer", delivery.last_status},
              {"error", delivery.last_error}});
  metrics_
      .MakeCounter("inferq_webhook_attempts_total",
                   "Attempts to tell an endpoint, by what the delivery is then.",
                   {{"status", status}})
      .Add();
}

void ServeObserver::AttemptEnded(const queue::ClaimedTask& task, const service::Attempt& attempt) {
  const std::string& model = task.spec.lane;
  std::string result(AttemptName(attempt.result));
  std::string kind = task.spec.interactive ? "online" : "batch";
  obs::Labels labels{{"model", model}, {"kind", kind}};
  base::Micros waited = clock_.Wall() - task.eligible - attempt.took;
  metrics_
      .MakeHistogram("inferq_queue_wait_seconds", "From eligible to claimed, last attempt.", labels)
      .Observe(std::max(0.0, Seconds(waited)));
  metrics_.MakeHistogram("inferq_attempt_seconds", "From claimed to recorded.", labels)
      .Observe(Seconds(attempt.took));
  labels["result"] = result;
  metrics_.MakeCounter("inferq_attempts_total", "Attempts that ended.", labels).Add();
  auto count = [&](const char* what, uint64_t tokens) {
    metrics_
        .MakeCounter("inferq_tokens_total", "Tokens of successful attempts.",
                     {{"model", model}, {"tenant", task.spec.tenant}, {"kind", what}})
        .Add(static_cast<double>(tokens));
  };
  count("prompt", attempt.usage.prompt_tokens);
  count("completion", attempt.usage.completion_tokens);
  count("prompt_cached", attempt.usage.cached_tokens);
  count("prompt_distinct", attempt.usage.distinct_tokens);
  bool failed = attempt.result == service::Attempt::Result::kFailed;
  log_.Write(failed ? Level::kInfo : Level::kDebug, "attempt." + result,
             {{"task", ToString(task.id)},
              {"attempt", task.attempt},
              {"model", model},
              {"tenant", task.spec.tenant},
              {"kind", kind},
              {"seconds", Seconds(attempt.took)},
              {"trace_id", obs::TraceIdOf(task.spec.traceparent)}});
}

// One count for each call, not for each task: these calls come by the thousand.

void ServeObserver::TasksSubmitted(const service::Caller& caller, uint64_t count) {
  metrics_
      .MakeCounter("inferq_tasks_submitted_total", "Single tasks that were accepted.",
                   {{"tenant", caller.tenant}})
      .Add(static_cast<double>(count));
}

void ServeObserver::TasksClaimed(const service::Caller& caller, uint64_t count) {
  metrics_
      .MakeCounter("inferq_worker_claimed_total", "Tasks that external workers began.",
                   {{"tenant", caller.tenant}})
      .Add(static_cast<double>(count));
}

void ServeObserver::TasksReported(const service::Caller& caller, std::string_view how,
                                  const std::vector<base::Result<>>& outcomes) {
  auto refused = static_cast<size_t>(
      std::ranges::count_if(outcomes, [](const base::Result<>& outcome) { return !outcome; }));
  auto count = [&](std::string_view result, size_t tasks) {
    if (tasks == 0) return;
    metrics_
        .MakeCounter("inferq_worker_reported_total", "Tasks that external workers reported on.",
                     {{"tenant", caller.tenant}, {"result", std::string(result)}})
        .Add(static_cast<double>(tasks));
  };
  count(how, outcomes.size() - refused);
  count("refused", refused);
}

void ServeObserver::ModelLoaded(const std::string& model) {
  metrics_.MakeCounter("inferq_engine_starts_total", "Engines that got ready.", {{"model", model}})
      .Add();
  log_.Write(Level::kInfo, "model.loaded", {{"model", model}});
}

void ServeObserver::ModelUnloaded(const std::string& model) {
  log_.Write(Level::kInfo, "model.unloaded", {{"model", model}});
}

void ServeObserver::ModelFailed(const std::string& model, const base::Error& error) {
  metrics_
      .MakeCounter("inferq_engine_failures_total", "Engines that could not be had.",
                   {{"model", model}})
      .Add();
  log_.Write(Level::kError, "model.failed", {{"model", model}, {"reason", error.message()}});
}

void ServeObserver::Sample(const std::optional<service::StationStats>& stats,
                           const service::Health& health) {
  ready_.Set(health.ready ? 1 : 0);
  if (!stats) return;
  online_.Set(static_cast<double>(stats->online));
  leases_.Set(static_cast<double>(stats->queue.by_state[static_cast<int>(model::State::kLeased)] +
                                  stats->queue.by_state[static_cast<int>(model::State::kRunning)]));
  Count(commits_, static_cast<double>(stats->queue.commits), commits_seen_);
  Count(commit_seconds_, Seconds(stats->queue.commit_time), commit_seconds_seen_);
  for (int i = 0; i < model::kStateCount; ++i) {
    std::string name(model::StateName(static_cast<model::State>(i)));
    by_state_.at(name).Set(static_cast<double>(stats->queue.by_state[i]));
  }
  for (const auto& model : stats->models) {
    obs::Labels labels{{"model", model.name}};
    auto set = [&](const char* name, const char* help, double value) {
      metrics_.MakeGauge(name, help, labels).Set(value);
    };
    set("inferq_engine_loaded", "1 while the engine is ready for work.", model.loaded ? 1 : 0);
    set("inferq_lane_running", "Tasks under way.", model.running);
    set("inferq_lane_waiting", "Tasks that could be claimed now.",
        static_cast<double>(model.waiting));
    set("inferq_lane_slots", "Tasks that may be under way at once.", model.slots);
    auto count = [&](const char* name, const char* help, uint64_t value) {
      metrics_.MakeCounter(name, help, labels).RaiseTo(static_cast<double>(value));
    };
    if (model.local) {
      set("inferq_engine_kv_tokens", "Tokens that the engine's KV cache has room for.",
          static_cast<double>(model.kv_tokens));
      set("inferq_engine_kv_used_tokens", "Of these, held now.",
          static_cast<double>(model.kv_used));
      count("inferq_engine_pauses_total", "Times that a request gave its cache to another.",
            model.pauses);
    }
    if (model.micro_batches == 0) continue;
    count("inferq_engine_micro_batches_total", "Runs of embeddings put together.",
          model.micro_batches);
    count("inferq_engine_micro_batched_total", "Inputs in them; by runs, their mean size.",
          model.micro_batched);
  }
}

// A store that was opened anew counts from 0 again.
void ServeObserver::Count(obs::Counter& counter, double now, double& seen) {
  counter.Add(now - (now < seen ? 0 : seen));
  seen = now;
}

void ServeObserver::WatchServer(const http::ServerCounters& counters) {
  auto connections = metrics_.MakeCounter("inferq_http_connections_total", "Connections accepted.");
  auto refused = metrics_.MakeCounter("inferq_http_refused_total",
                                      "Requests that were malformed, slow, or beyond a limit.");
  auto open = metrics_.MakeGauge("inferq_http_connections", "Connections open now.");
  auto memory = metrics_.MakeGauge("inferq_http_body_bytes", "Bytes of bodies held in memory.");
  metrics_.OnRender([&counters, connections, refused, open, memory]() mutable {
    connections.RaiseTo(static_cast<double>(counters.connections));
    refused.RaiseTo(static_cast<double>(counters.refused));
    open.Set(static_cast<double>(counters.open));
    memory.Set(static_cast<double>(counters.body_memory));
  });
}

// Found once and kept: a registry makes a series anew, with all its buckets, to see whether it has
// it.
ServeObserver::RequestSeries ServeObserver::SeriesOf(const api::AccessRecord& record) {
  std::string_view method = MethodLabel(record.method);
  base::MutexLock lock(mu_);
  auto found = requests_.find(std::make_tuple(method, record.route, record.status));
  if (found != requests_.end()) return found->second;
  obs::Labels labels{{"method", std::string(method)}, {"route", std::string(record.route)}};
  auto seconds = metrics_.MakeHistogram("inferq_http_request_seconds",
                                        "From head to the end of the answer.", labels);
  labels["status"] = std::to_string(record.status);
  RequestSeries made{
      .seconds = seconds,
      .count = metrics_.MakeCounter("inferq_http_requests_total", "Requests that ended.", labels)};
  RequestKey key(method, record.route, record.status);
  return requests_.emplace(std::move(key), made).first->second;
}

void ServeObserver::RequestEnded(const api::AccessRecord& record) {
  RequestSeries series = SeriesOf(record);
  series.seconds.Observe(Seconds(record.duration));
  series.count.Add();
  log_.Write(LevelOf(record.status), "http.request",
             {{"method", record.method},
              {"route", record.route},
              {"status", record.status},
              {"tenant", record.tenant},
              {"peer", record.peer},
              {"bytes_received", record.bytes_received},
              {"bytes_sent", record.bytes_sent},
              {"seconds", Seconds(record.duration)},
              {"request_id", record.request_id},
              {"trace_id", record.trace_id}});
}

}  // namespace inferq::app
