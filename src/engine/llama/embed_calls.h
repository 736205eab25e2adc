#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "engine/engine.h"
#include "engine/llama/protocol.h"
#include "sched/micro_batcher.h"
#include "wire/embedding.h"

namespace inferq::engine::llama {

struct EmbedCallsOptions {
  /// How long an input waits so that others can join it; 0: only inputs of one request share a
  /// micro-batch, and none waits.
  base::Micros window = std::chrono::milliseconds(10);
  uint32_t batch_size = 64;      ///< Most inputs of a micro-batch.
  uint64_t batch_tokens = 2048;  ///< And tokens, estimated; the child counts and cuts anew.
};

/// What it did since it was made.
struct EmbedCounts {
  uint64_t batches = 0;  ///< Micro-batches sent.
  uint64_t inputs = 0;   ///< In them.
  friend bool operator==(const EmbedCounts&, const EmbedCounts&) = default;
};

/// Requests for embeddings on the server's side: puts their inputs together into micro-batches for
/// the child, one at a time (while it runs, the next one gathers), and composes the answers. Pure.
///
/// Order: after Add, Forget, OnEmbedded and at NextDeadline, Next until it gives nothing. One
/// owner.
class EmbedCalls {
 public:
  explicit EmbedCalls(EmbedCallsOptions options);

  /// @param id  of the request, never used before.
  void Add(uint64_t id, std::string model, wire::EmbeddingRequest request, base::SteadyTime now);
  /// The request has ended: its inputs wait no more, and what comes of them has no effect.
  void Forget(uint64_t id);

  /// What the child is to run now.
  std::optional<Embed> Next(base::SteadyTime now);
  std::optional<base::SteadyTime> NextDeadline(base::SteadyTime now);

  /// A request that has ended: its whole answer, or why there is none.
  struct Ended {
    uint64_t id = 0;
    base::Result<Delta> answer;
  };
  std::vector<Ended> OnEmbedded(Embedded embedded);
  /// The micro-batch under way will not be answered; the owner ends its requests.
  void OnLost();

  const EmbedCounts& counts() const { return counts_; }

 private:
  struct Request {
    std::string model;
    wire::EmbeddingRequest request;
    sched::CallId first_call = 0;  // of the first input; the others follow
    std::vector<std::string> vectors;
    size_t missing = 0;
    uint64_t tokens = 0;
  };
  // Where a waiting input belongs.
  struct Place {
    uint64_t id = 0;
    uint32_t index = 0;
  };

  base::Result<Delta> Take(Request& request, Embedding result);

  const EmbedCallsOptions options_;
  std::unique_ptr<sched::MicroBatcher> batcher_;
  std::map<uint64_t, Request> requests_;
  std::unordered_map<sched::CallId, Place> waiting_;
  sched::CallId next_call_ = 1;
  std::optional<uint64_t> running_;  // the micro-batch with the child
  EmbedCounts counts_;
};

}  // namespace inferq::engine::llama
