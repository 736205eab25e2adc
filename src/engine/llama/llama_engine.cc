#include "engine/llama/llama_engine.h"

#include <signal.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "engine/llama/answer_body.h"
#include "engine/llama/child_link.h"
#include "engine/llama/gguf_file.h"
#include "engine/llama/protocol.h"
#include "engine/llama/request.h"
#include "runtime/event.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using base::Error;
using base::Fail;
using base::Result;

constexpr auto kFullRetry = std::chrono::seconds(1);

EmbedCallsOptions EmbedOptionsOf(const LlamaOptions& options) {
  EmbedCallsOptions embed{.window = options.embed_window};
  embed.batch_tokens = std::max<uint64_t>(embed.batch_tokens, options.embed_tokens);
  return embed;
}

// What stands at the head of a body that is composed here: the id is the attempt's.
wire::StreamInfo InfoOf(const Request& request, bool include_usage, base::WallTime now) {
  constexpr std::string_view kAttempt = "req_";
  const bool chat = request.endpoint == Endpoint::kChatCompletions;
  std::string_view id = request.id;
  if (id.starts_with(kAttempt)) id.remove_prefix(kAttempt.size());
  return {
      .endpoint = request.endpoint,
      .id = fmt::format("{}-{}", chat ? "chatcmpl" : "cmpl", id),
      .created = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count(),
      .model = request.model,
      .include_usage = include_usage};
}

// What two children did, one after the other; what is held now, of the later one.
EngineStats Together(const EngineStats& earlier, EngineStats later) {
  later.steps += earlier.steps;
  later.computed_tokens += earlier.computed_tokens;
  later.shared_tokens += earlier.shared_tokens;
  later.distinct_tokens += earlier.distinct_tokens;
  later.generated_tokens += earlier.generated_tokens;
  later.pauses += earlier.pauses;
  return later;
}

}  // namespace

// One request, shared by the engine (until it is over) and the caller's Generation.
struct Live {
  explicit Live(runtime::Runtime& runtime) : changed(runtime) {}

  uint64_t id = 0;
  std::string frame;  // Submit, until it is sent
  bool sent = false;
  bool started = false;  // the child has begun with it
  Delta pending;
  std::optional<AnswerBody> body;  // where one is to be composed
  std::optional<Error> error;
  bool over = false;  // nothing more comes
  bool told = false;  // and the caller knows
  runtime::Runtime::TimerId deadline_timer = 0;
  runtime::Event changed;
};
using LivePtr = std::shared_ptr<Live>;

class LlamaEngine::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(runtime::Runtime& runtime, LlamaOptions options)
      : runtime_(runtime),
        options_(std::move(options)),
        embeds_(EmbedOptionsOf(options_)),
        changed_(runtime),
        scope_(runtime) {}

  Awaitable<Result<>> Start();
  Awaitable<void> Stop();
  Result<std::unique_ptr<Generation>> Submit(Request request);
  void Cancel(Live& live);

  Capacity capacity() const;
  std::string Describe() const;
  pid_t child_pid() const { return link_ ? link_->pid() : 0; }
  LlamaOptions effective_options() const;
  EmbedCounts embed_counts() const { return embeds_.counts(); }
  EngineStats stats() const { return Together(earlier_, stats_); }

 private:
  enum class State { kCreated, kLoading, kReady, kRestarting, kFailed, kStopped };

  Awaitable<void> Supervise();
  Awaitable<void> LiveOnce();
  void OnMessage(Message message);
  void OnHello(Hello hello);
  void OnDelta(SequenceDelta delta);
  void OnDeath(const std::string& how);
  void CountLoadFailure(Error error, bool permanent);
  Error LoadFailure(const std::string& how) const;
  void GiveUp(Error error);

  void SendWaiting();
  void SendEmbeds();
  void OnEmbedded(Embedded embedded);
  void SendCancel(uint64_t id);
  void Finish(LivePtr live, FinishReason reason, const Usage& usage);
  void FinishWithError(LivePtr live, Error error);
  void Over(const LivePtr& live);
  void Expect();
  Result<> CheckOpen() const;
  Result<> MakeFrame(const Request& request, Live& live);

  runtime::Runtime& runtime_;
  LlamaOptions options_;
  State state_ = State::kCreated;
  std::optional<Error> fatal_;
  std::optional<Hello> facts_;
  std::unique_ptr<ChildLink> link_;
  EngineStats stats_;                    // of the present child
  EngineStats earlier_;                  // of those before
  std::optional<LoadError> load_error_;  // said by the present child
  uint32_t load_failures_ = 0;           // in a row
  base::Micros backoff_{0};
  uint64_t next_id_ = 1;
  std::map<uint64_t, LivePtr> live_;  // not over; in order of submission
  std::deque<LivePtr> unsent_;        // of them (and some that are over), in the same order
  size_t running_ = 0;                // of them, started
  size_t sent_ = 0;                   // of them, with the child
  EmbedCalls embeds_;                 // of them, those that want vectors
  runtime::Runtime::TimerId embed_timer_ = 0;
  runtime::Event changed_;  // of the state
  runtime::Scope scope_;
};

// --- The caller's handle ---

namespace {

class LlamaGeneration final : public Generation {
 public:
  LlamaGeneration(LivePtr live, std::function<void(Live&)> cancel)
      : live_(std::move(live)), cancel_(std::move(cancel)) {}
  ~LlamaGeneration() override { cancel_(*live_); }

  Awaitable<Result<Delta>> Next() override { return NextOf(live_); }
  void Cancel() override { cancel_(*live_); }

 private:
  // The caller may drop the generation while this waits.
  static Awaitable<Result<Delta>> NextOf(LivePtr live) {
    while (!live->over && live->pending.tokens == 0 && live->pending.text.empty() &&
           live->pending.raw_chunks.empty()) {
      co_await live->changed.Wait();
    }
    if (std::exchange(live->told, live->over)) {
      co_return Fail(Code::kFailedPrecondition, "the request is over");
    }
    if (live->error) co_return std::unexpected(*live->error);
    co_return std::exchange(live->pending, {});
  }

  LivePtr live_;
  std::function<void(Live&)> cancel_;
};

}  // namespace

// --- Requests ---

Result<> LlamaEngine::Impl::CheckOpen() const {
  if (fatal_) return std::unexpected(*fatal_);
  if (state_ == State::kCreated)
    return Fail(Code::kFailedPrecondition, "the engine is not started");
  if (state_ == State::kStopped) return Fail(Code::kFailedPrecondition, "the engine is stopped");
  if (live_.size() < options_.requests_max) return {};
  Error full(Code::kResourceExhausted,
             fmt::format("the engine has {} unfinished requests, its limit", live_.size()));
  return std::unexpected(std::move(full).WithRetryAfter(kFullRetry));
}

// Reads a request for text: what the child gets, and how its answer is put together.
Result<> LlamaEngine::Impl::MakeFrame(const Request& request, Live& live) {
  INFERQ_ASSIGN(wire::GenerateRequest parsed,
                wire::ParseGenerateRequest(request.body, request.endpoint));
  if (AnswerBody::IsNeededFor(parsed)) {
    live.body.emplace(parsed, InfoOf(request, parsed.include_usage, runtime_.clock().Wall()),
                      request.stream);
  }
  INFERQ_ASSIGN(live.frame,
                EncodeFrame(llama::Submit{live.id, ToGenerateRequest(request, std::move(parsed))}));
  return {};
}

Result<std::unique_ptr<Generation>> LlamaEngine::Impl::Submit(Request request) {
  INFERQ_TRY(CheckOpen());
  auto live = std::make_shared<Live>(runtime_);
  live->id = next_id_;
  if (request.endpoint == Endpoint::kEmbeddings) {
    INFERQ_ASSIGN(wire::EmbeddingRequest parsed, wire::ParseEmbeddingRequest(request.body));
    embeds_.Add(live->id, request.model.empty() ? parsed.model : request.model, std::move(parsed),
                runtime_.clock().Steady());
  } else {
    INFERQ_TRY(MakeFrame(request, *live));
    unsent_.push_back(live);
  }
  ++next_id_;
  live_.emplace(live->id, live);
  if (request.deadline) {
    live->deadline_timer =
        runtime_.CallAt(*request.deadline, [self = weak_from_this(), id = live->id] {
          auto impl = self.lock();
          if (!impl) return;
          const auto found = impl->live_.find(id);
          if (found == impl->live_.end()) return;
          LivePtr late = found->second;
          late->deadline_timer = 0;
          impl->SendCancel(id);
          impl->FinishWithError(
              late, Error(Code::kDeadlineExceeded, "the request's deadline has passed"));
          impl->SendEmbeds();
        });
  }
  SendWaiting();
  SendEmbeds();
  auto cancel = [self = weak_from_this()](Live& which) {
    if (auto impl = self.lock()) impl->Cancel(which);
  };
  return std::make_unique<LlamaGeneration>(std::move(live), std::move(cancel));
}

// Gives the child everything that it does not have yet, oldest first.
void LlamaEngine::Impl::SendWaiting() {
  if (state_ != State::kReady) return;
  for (; !unsent_.empty(); unsent_.pop_front()) {
    Live& live = *unsent_.front();
    if (live.over) continue;
    link_->Send(std::exchange(live.frame, {}));
    live.sent = true;
    ++sent_;
  }
  Expect();
}

// Gives the child the next micro-batch, if one is due; else comes again when it is.
void LlamaEngine::Impl::SendEmbeds() {
  if (embed_timer_ != 0) runtime_.CancelTimer(std::exchange(embed_timer_, 0));
  if (state_ != State::kReady) return;
  while (auto batch = embeds_.Next(runtime_.clock().Steady())) {
    auto frame = EncodeFrame(*batch);
    for (const EmbedInput& input : batch->inputs) {
      const auto found = live_.find(input.id);
      if (found == live_.end()) continue;  // failed just now, with its first input
      const LivePtr live = found->second;
      if (!frame) FinishWithError(live, frame.error());
      if (frame && !std::exchange(live->sent, true)) ++sent_;
    }
    if (frame)
      link_->Send(*std::move(frame));
    else
      embeds_.OnLost();
  }
  Expect();
  const auto next = embeds_.NextDeadline(runtime_.clock().Steady());
  if (!next) return;
  embed_timer_ = runtime_.CallAt(*next, [self = weak_from_this()] {
    auto impl = self.lock();
    if (!impl) return;
    impl->embed_timer_ = 0;
    impl->SendEmbeds();
  });
}

void LlamaEngine::Impl::SendCancel(uint64_t id) {
  const auto found = live_.find(id);
  if (found == live_.end() || !found->second->sent) return;
  if (auto frame = EncodeFrame(llama::Cancel{id}); frame && link_) link_->Send(*frame);
}

void LlamaEngine::Impl::Cancel(Live& live) {
  const auto found = live_.find(live.id);
  if (live.over || found == live_.end()) return;
  SendCancel(live.id);
  Finish(found->second, FinishReason::kCancelled, live.pending.usage);
  SendEmbeds();
}

void LlamaEngine::Impl::Finish(LivePtr live, FinishReason reason, const Usage& usage) {
  live->pending.finish_reason = reason;
  live->pending.usage = usage;
  Over(live);
}

void LlamaEngine::Impl::FinishWithError(LivePtr live, Error error) {
  live->error = std::move(error);
  Over(live);
}

void LlamaEngine::Impl::Over(const LivePtr& live) {
  if (live->deadline_timer != 0) runtime_.CancelTimer(std::exchange(live->deadline_timer, 0));
  running_ -= live->started ? 1 : 0;
  sent_ -= live->sent ? 1 : 0;
  live->over = true;
  embeds_.Forget(live->id);
  live_.erase(live->id);
  live->changed.NotifyAll();
  Expect();
}

// The child has to show signs of life while it loads, and while it has work.
void LlamaEngine::Impl::Expect() {
  if (!link_) return;
  if (state_ != State::kReady) return link_->ExpectSignsOfLife(options_.load_timeout);
  link_->ExpectSignsOfLife(sent_ > 0 ? options_.hang_timeout : base::Micros(0));
}

// --- What the child says ---

void LlamaEngine::Impl::OnMessage(Message message) {
  if (auto* step = std::get_if<Step>(&message)) {
    for (SequenceDelta& delta : step->deltas) OnDelta(std::move(delta));
    stats_ = step->stats;
  } else if (auto* embedded = std::get_if<Embedded>(&message)) {
    OnEmbedded(std::move(*embedded));
  } else if (auto* started = std::get_if<Started>(&message)) {
    for (uint64_t id : started->ids) {
      const auto found = live_.find(id);
      if (found == live_.end() || std::exchange(found->second->started, true)) continue;
      ++running_;
    }
  } else if (auto* parked = std::get_if<Parked>(&message)) {
    for (uint64_t id : parked->ids) {
      const auto found = live_.find(id);
      if (found != live_.end() && std::exchange(found->second->started, false)) --running_;
    }
  } else if (auto* hello = std::get_if<Hello>(&message)) {
    OnHello(std::move(*hello));
  } else if (auto* error = std::get_if<LoadError>(&message)) {
    load_error_ = std::move(*error);
  }
}

void LlamaEngine::Impl::OnHello(Hello hello) {
  if (hello.version != kProtocolVersion) {
    load_error_ =
        LoadError{Code::kFailedPrecondition,
                  fmt::format("inferq-engine speaks protocol {}, this inferq {}: install both "
                              "from one release",
                              hello.version, kProtocolVersion),
                  true};
    return link_->Kill("was stopped");
  }
  if (state_ == State::kStopped) return;
  facts_ = std::move(hello);
  load_failures_ = 0;
  state_ = State::kReady;
  Expect();
  SendWaiting();
  SendEmbeds();
  changed_.NotifyAll();
}

void LlamaEngine::Impl::OnEmbedded(Embedded embedded) {
  for (EmbedCalls::Ended& ended : embeds_.OnEmbedded(std::move(embedded))) {
    const auto found = live_.find(ended.id);
    if (found == live_.end()) continue;
    const LivePtr live = found->second;
    if (!ended.answer) {
      SendCancel(live->id);  // its other inputs
      FinishWithError(live, std::move(ended.answer).error());
      continue;
    }
    backoff_ = base::Micros(0);
    live->pending.raw_response = std::move(ended.answer->raw_response);
    Finish(live, *ended.answer->finish_reason, ended.answer->usage);
  }
  SendEmbeds();
}

void LlamaEngine::Impl::OnDelta(SequenceDelta delta) {
  const auto found = live_.find(delta.id);
  if (found == live_.end()) return;  // cancelled meanwhile
  LivePtr live = found->second;
  live->pending.tokens += delta.tokens;
  if (delta.error) {
    Error error(delta.error->code, std::move(delta.error->message));
    return FinishWithError(live, std::move(error).WithParam(std::move(delta.error->param)));
  }
  if (delta.finish_reason) backoff_ = base::Micros(0);
  if (live->body && delta.finish_reason != FinishReason::kCancelled) {
    live->body->Add(std::move(delta), live->pending);
    if (!live->body->done()) return live->changed.NotifyAll();
    live->body->Finish(live->pending);
    return Over(live);
  }
  live->pending.text += delta.text;
  if (delta.finish_reason) return Finish(live, *delta.finish_reason, delta.usage);
  live->changed.NotifyAll();
}

// --- The child's lives ---

Awaitable<Result<>> LlamaEngine::Impl::Start() {
  if (state_ != State::kCreated)
    co_return Fail(Code::kFailedPrecondition, "the engine was started before");
  state_ = State::kLoading;
  auto check = [model = options_.model_path, adapter = options_.adapter_path]() -> Result<> {
    INFERQ_TRY(CheckGgufFile(model));
    return adapter.empty() ? Result<>() : CheckGgufAdapter(adapter, model);
  };
  auto checked = co_await runtime_.RunBlocking(runtime::kAnyLane, std::move(check));
  if (!checked) GiveUp(checked.error());
  if (state_ == State::kLoading) scope_.Spawn(Supervise());
  while (state_ == State::kLoading) co_await changed_.Wait();
  if (fatal_) co_return std::unexpected(*fatal_);
  if (state_ == State::kStopped)
    co_return Fail(Code::kCancelled, "the engine was stopped while it loaded");
  co_return Result<>();
}

Awaitable<void> LlamaEngine::Impl::Supervise() {
  while (state_ != State::kStopped && state_ != State::kFailed) {
    co_await LiveOnce();
    if (state_ == State::kStopped || state_ == State::kFailed) break;
    backoff_ = std::clamp(backoff_ * 2, options_.backoff_min, options_.backoff_max);
    const base::SteadyTime again = runtime_.clock().Steady() + backoff_;
    while (state_ != State::kStopped && runtime_.clock().Steady() < again) {
      co_await changed_.WaitUntil(again);
    }
  }
}

Awaitable<void> LlamaEngine::Impl::LiveOnce() {
  load_error_.reset();
  link_ = std::make_unique<ChildLink>(runtime_, options_);
  auto spawned = link_->Spawn([this](Message message) { OnMessage(std::move(message)); });
  if (!spawned) {
    const bool permanent = spawned.error().code() != Code::kResourceExhausted;
    link_.reset();
    CountLoadFailure(spawned.error(), permanent);
    co_return;
  }
  Expect();
  const std::string how = co_await link_->Run();
  OnDeath(how);
  link_.reset();
}

void LlamaEngine::Impl::OnDeath(const std::string& how) {
  if (state_ == State::kStopped) return;
  const bool was_loading = state_ != State::kReady;
  earlier_ = Together(earlier_, std::exchange(stats_, {}));
  if (!was_loading) state_ = State::kRestarting;
  const std::string words = link_->last_words();
  const std::string tail = words.empty() ? "" : fmt::format(" (its last words: {})", words);
  embeds_.OnLost();
  for (auto it = live_.begin(); it != live_.end();) {
    LivePtr live = (it++)->second;
    if (live->started) {
      FinishWithError(live,
                      Error(Code::kAborted, fmt::format("the engine process {} while it ran this "
                                                        "request{}",
                                                        how, tail)));
    } else if (live->sent) {
      FinishWithError(live,
                      Error(Code::kUnavailable, fmt::format("the engine process {} before it began "
                                                            "with this request{}",
                                                            how, tail)));
    }
  }
  if (was_loading) CountLoadFailure(LoadFailure(how), load_error_ && load_error_->permanent);
  changed_.NotifyAll();
}

Error LlamaEngine::Impl::LoadFailure(const std::string& how) const {
  if (load_error_) return Error(load_error_->code, load_error_->message);
  const int signal = link_->death_signal();
  const bool memory =
      signal == SIGKILL;  // nobody here sent it: most likely the system, out of memory
  const std::string words = link_->last_words();
  return Error(
      memory ? Code::kResourceExhausted : Code::kInvalidArgument,
      fmt::format("model {}{}{} cannot be loaded: the engine process {}{}{}", options_.model_path,
                  options_.adapter_path.empty() ? "" : " with adapter ", options_.adapter_path, how,
                  memory ? ", which is what the system does when memory runs out" : "",
                  words.empty() ? "" : ": " + words));
}

void LlamaEngine::Impl::CountLoadFailure(Error error, bool permanent) {
  if (permanent || ++load_failures_ >= options_.load_failures_max) GiveUp(std::move(error));
}

void LlamaEngine::Impl::GiveUp(Error error) {
  if (state_ == State::kStopped) return;
  fatal_ = std::move(error);
  state_ = State::kFailed;
  while (!live_.empty()) FinishWithError(live_.begin()->second, *fatal_);
  changed_.NotifyAll();
}

Awaitable<void> LlamaEngine::Impl::Stop() {
  const bool was_ready = state_ == State::kReady;
  if (state_ != State::kFailed) state_ = State::kStopped;
  while (!live_.empty()) {
    LivePtr live = live_.begin()->second;
    Finish(live, FinishReason::kCancelled, live->pending.usage);
  }
  changed_.NotifyAll();
  runtime::Runtime::TimerId timer = 0;
  if (link_) {
    auto frame = EncodeFrame(llama::Stop{});
    if (was_ready && frame) link_->Send(*frame);
    if (!was_ready) link_->Kill("was stopped");
    timer = runtime_.CallAt(runtime_.clock().Steady() + options_.stop_timeout,
                            [self = weak_from_this()] {
                              if (auto impl = self.lock(); impl && impl->link_)
                                impl->link_->Kill("was stopped");
                            });
  }
  co_await scope_.Join();
  if (timer != 0) runtime_.CancelTimer(timer);
}

// --- Facts ---

Capacity LlamaEngine::Impl::capacity() const {
  const LlamaOptions options = effective_options();
  const uint32_t slots = std::max(1u, options.slots);
  const EngineStats inside = stats();
  return {.slots = slots,
          .ahead = slots,
          .running = static_cast<uint32_t>(running_),
          .context_tokens = options.context_tokens,
          .ready = state_ == State::kReady,
          .micro_batches = embeds_.counts().batches,
          .micro_batched = embeds_.counts().inputs,
          .kv_tokens = inside.kv_cells,
          .kv_used = inside.kv_used,
          .pauses = inside.pauses};
}

std::string LlamaEngine::Impl::Describe() const {
  std::string file = std::filesystem::path(options_.model_path).filename();
  if (!options_.adapter_path.empty())
    file += " with " + std::filesystem::path(options_.adapter_path).filename().string();
  return facts_ ? fmt::format("llama {} ({})", file, facts_->model) : fmt::format("llama {}", file);
}

LlamaOptions LlamaEngine::Impl::effective_options() const {
  LlamaOptions options = options_;
  if (!facts_) return options;
  options.slots = facts_->slots;
  options.context_tokens = static_cast<uint32_t>(facts_->context_tokens);
  options.threads = facts_->threads;
  options.batch_tokens = facts_->batch_tokens;
  return options;
}

LlamaEngine::LlamaEngine(runtime::Runtime& runtime, LlamaOptions options)
    : impl_(std::make_shared<Impl>(runtime, std::move(options))) {}
LlamaEngine::~LlamaEngine() = default;

Awaitable<Result<>> LlamaEngine::Start() { return impl_->Start(); }
Awaitable<void> LlamaEngine::Stop() { return impl_->Stop(); }
Result<std::unique_ptr<Generation>> LlamaEngine::Submit(Request request) {
  return impl_->Submit(std::move(request));
}
Capacity LlamaEngine::capacity() const { return impl_->capacity(); }
std::string LlamaEngine::Describe() const { return impl_->Describe(); }
EmbedCounts LlamaEngine::embed_counts() const { return impl_->embed_counts(); }
EngineStats LlamaEngine::stats() const { return impl_->stats(); }
pid_t LlamaEngine::child_pid() const { return impl_->child_pid(); }
LlamaOptions LlamaEngine::effective_options() const { return impl_->effective_options(); }

std::unique_ptr<Engine> MakeLlamaEngine(runtime::Runtime& runtime, LlamaOptions options) {
  return std::make_unique<LlamaEngine>(runtime, std::move(options));
}

}  // namespace inferq::engine::llama
