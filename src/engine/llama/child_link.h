#pragma once

#include <sys/types.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "engine/llama/llama_engine.h"
#include "engine/llama/protocol.h"
#include "runtime/child_process.h"
#include "runtime/event.h"
#include "runtime/net.h"
#include "runtime/runtime.h"

namespace inferq::engine::llama {

/// The last lines that a process wrote, for messages; older ones are dropped.
class LineTail {
 public:
  void Add(std::string_view text);
  /// The last non-empty lines, joined by "; ". "" when there are none.
  std::string Text() const;

 private:
  static constexpr size_t kLines = 3;
  static constexpr size_t kLineBytes = 400;
  std::deque<std::string> lines_;
  std::string open_;  // no newline yet
};

/// One life of the engine child: started, spoken with, dead. All calls on the strand.
class ChildLink {
 public:
  using MessageHandler = std::function<void(Message)>;

  ChildLink(runtime::Runtime& runtime, const LlamaOptions& options)
      : runtime_(runtime), options_(options), wake_(runtime), over_(runtime) {}
  ~ChildLink();

  /// Starts the child. Its messages go to `handler`, from Run.
  base::Result<> Spawn(MessageHandler handler);
  /// Moves bytes until the child is dead and reaped.
  /// @return how it ended, as the end of a sentence: "was killed by signal 9 (Killed)".
  Awaitable<std::string> Run();

  /// Queues a frame; no effect on a dead child.
  void Send(std::string_view frame);
  /// Ends it at once. `why` becomes part of Run's answer.
  void Kill(std::string why);

  /// Work is under way from now on: silence longer than `limit` kills the child. 0: may be silent.
  void ExpectSignsOfLife(base::Micros limit);

  pid_t pid() const { return process_ ? process_->pid() : 0; }
  /// By a signal that nobody here sent.
  int death_signal() const { return death_signal_; }
  /// What it wrote to stderr last.
  std::string last_words() const { return stderr_tail_.Text(); }

 private:
  Awaitable<void> ReadFrames();
  Awaitable<void> ReadStderr();
  Awaitable<void> WriteFrames();
  Awaitable<void> Watch();
  base::Result<> Dispatch(std::string_view bytes);

  runtime::Runtime& runtime_;
  const LlamaOptions& options_;
  MessageHandler handler_;
  std::unique_ptr<runtime::ChildProcess> process_;
  std::unique_ptr<runtime::Stream> socket_;
  std::unique_ptr<runtime::Stream> stderr_;
  FrameReader frames_;
  LineTail stderr_tail_;
  std::string outbox_;
  runtime::Event wake_;  // the outbox has something, or closed
  runtime::Event over_;
  bool closed_ = false;
  std::optional<std::string> killed_because_;
  int death_signal_ = 0;
  base::Micros silence_max_{0};
  base::SteadyTime last_sign_;
};

}  // namespace inferq::engine::llama
