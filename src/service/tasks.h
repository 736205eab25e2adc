#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "blob/blob_store.h"
#include "queue/queue.h"
#include "runtime/runtime.h"
#include "service/dispatcher.h"
#include "service/result_log.h"
#include "service/service.h"

namespace inferq::service {

/// What the tasks need of the rest.
struct TaskEnvironment {
  runtime::Runtime& runtime;
  queue::Queue& queue;
  std::shared_ptr<blob::BlobStore> blobs;
  ResultLog& requests;  ///< Where payloads go.
  Observer& observer;
  std::function<bool(const std::string& model)> offers_model;
  std::function<void(const std::string& model)> wake;  ///< There is work for it.
};

/// Tasks that clients submit one by one or many in a call: for models, which we run, and of kinds
/// that external workers do (Workers). A payload is durable before the task that points to it, so
/// a crash between the two leaves bytes that nobody asks for. A tenant sees its own only.
///
/// On the strand.
class Tasks {
 public:
  explicit Tasks(TaskEnvironment environment) : env_(std::move(environment)) {}

  Awaitable<base::Result<Submitted>> Submit(Caller caller, wire::TaskCreate create);
  /// @param generation  an earlier one than the newest, to see how that ended.
  Awaitable<base::Result<TaskView>> Get(Caller caller, std::string id,
                                        std::optional<model::Generation> generation);
  Awaitable<base::Result<TaskPage>> List(Caller caller, TaskList request);
  Awaitable<base::Result<queue::Explanation>> Explain(Caller caller, std::string id);
  Awaitable<base::Result<TaskView>> Edit(Caller caller, TaskEdit edit);
  Awaitable<base::Result<TaskView>> Cancel(Caller caller, std::string id);
  Awaitable<base::Result<uint64_t>> CancelWhere(Caller caller, wire::TaskSelection chosen);
  Awaitable<base::Result<TaskView>> Requeue(Caller caller, std::string id);

  // For those of models, which are neither lines of a batch nor ephemeral.

  static bool Owns(const model::TaskSpec& spec) { return !spec.ephemeral && !spec.batch; }
  /// What to run.
  Awaitable<base::Result<Work>> Load(queue::ClaimedTask task);
  /// What is stored as its result.
  std::string AnswerText(const queue::ClaimedTask& task, Work work, engine::Delta answer);
  static std::string ErrorText(const base::Error& error);

 private:
  base::Result<std::vector<model::TaskSpec>> SpecsOf(const Caller& caller,
                                                     wire::TaskCreate& create) const;
  Awaitable<base::Result<std::vector<model::TaskId>>> Enqueue(std::vector<model::TaskSpec> specs);
  base::Result<> CheckFull(size_t count) const;
  /// The record of the caller's own task. kNotFound: also for those of others.
  Awaitable<base::Result<model::TaskRecord>> Own(Caller caller, std::string id);
  /// Reads what stands beside the records. @param with_endings  results and errors, too.
  Awaitable<base::Result<std::vector<TaskView>>> ViewsOf(std::vector<model::TaskRecord> records,
                                                         bool with_endings);
  Awaitable<base::Result<TaskView>> ViewOf(model::TaskRecord record);

  /// The queue was full for so many tasks, at that time.
  struct Full {
    size_t count;
    base::Error error;
    base::SteadyTime until;
  };

  TaskEnvironment env_;
  std::optional<Full> full_;
};

}  // namespace inferq::service
