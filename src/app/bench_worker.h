#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client/worker_answers.h"

namespace inferq::app {

/// Appends one task for workers of `kind`. @param key  idempotency key; "": none.
void AppendTask(std::string& out, std::string_view kind, uint64_t payload, std::string_view key);
/// `{"tasks":[…]}` of `count` tasks with the same payload.
/// @param key  of each, with its place behind it; "": none.
void AppendTasks(std::string& out, std::string_view kind, uint64_t payload, uint32_t count,
                 std::string_view key);

/// The words of one worker: what it claims, and the end of what it holds. Bodies stay valid until
/// the next Take.
class BenchWorker {
 public:
  BenchWorker(std::string_view kind, uint32_t number, uint32_t max_tasks, double wait_seconds);

  const std::string& ClaimBody() const { return claim_; }
  /// Ends all that is held with success. @param claim  asks for the next tasks with it.
  const std::string& CompleteBody(bool claim);
  /// What was claimed is what it holds now.
  void Take(const std::vector<client::ClaimedTask>& tasks);
  /// The payloads of what it holds.
  const std::vector<uint64_t>& held() const { return held_; }

 private:
  std::string name_;
  std::string claim_;
  std::string ends_;  // the tasks of the next completion
  std::string complete_;
  std::vector<uint64_t> held_;
};

}  // namespace inferq::app
