#include "service/model_host.h"

#include <algorithm>
#include <utility>

namespace inferq::service {

using namespace std::chrono_literals;
using base::Result;

namespace {

// Bounds how late work is noticed that nobody announced (a retry that came due).
constexpr base::Micros kLook = 500ms;
constexpr base::Micros kAwayLook = 1s;

}  // namespace

ModelHost::ModelHost(runtime::Runtime& runtime, queue::Queue& queue, TaskHandler& handler,
                     ModelSpec spec, Options options, Observer& observer,
                     std::function<void()> on_trouble)
    : runtime_(runtime),
      queue_(queue),
      handler_(handler),
      spec_(std::move(spec)),
      options_(options),
      observer_(observer),
      on_trouble_(std::move(on_trouble)),
      changed_(runtime),
      pause_(options.first_pause) {}

void ModelHost::Wake() { changed_.NotifyAll(); }

void ModelHost::Drain(base::SteadyTime deadline) {
  drain_until_ = deadline;
  if (dispatcher_) dispatcher_->Drain(deadline);
  changed_.NotifyAll();
}

DispatchCounters ModelHost::counters() const {
  DispatchCounters sum = earlier_;
  if (dispatcher_) sum += dispatcher_->counters();
  return sum;
}

engine::Capacity ModelHost::engine_capacity() const {
  return dispatcher_ ? dispatcher_->engine_capacity() : engine::Capacity{};
}

Awaitable<Result<>> ModelHost::Run() {
  while (true) {
    co_await AwaitWork();
    if (drain_until_) co_return Result<>{};
    INFERQ_CO_TRY(co_await Serve());
  }
}

Awaitable<void> ModelHost::AwaitWork() {
  while (!drain_until_ && queue_.Waiting(spec_.name) == 0) {
    co_await changed_.WaitUntil(runtime_.clock().Steady() + kLook);
  }
}

Awaitable<Result<>> ModelHost::Serve() {
  auto engine = spec_.make_engine();
  if (!engine) {
    co_await PauseAfter(engine.error());
    co_return Result<>{};
  }
  Result<> served = co_await Start(**engine);
  bool engines_fault = true;
  if (served && !drain_until_) {
    if (std::exchange(trouble_, std::nullopt)) on_trouble_();
    observer_.ModelLoaded(spec_.name);
    served = co_await Dispatch(**engine);
    engines_fault = dispatcher_->engine_failed();
    earlier_ += dispatcher_->counters();
    dispatcher_.reset();
  }
  co_await (*engine)->Stop();
  if (served) observer_.ModelUnloaded(spec_.name);
  if (!served && engines_fault && !drain_until_) {
    co_await PauseAfter(served.error());
    co_return Result<>{};
  }
  if (engines_fault) co_return Result<>{};
  co_return served;
}

// Loading a model may take minutes; a drain does not wait for it.
Awaitable<Result<>> ModelHost::Start(engine::Engine& engine) {
  std::optional<Result<>> started;
  runtime::Scope starting(runtime_);
  starting.Spawn(StartInto(engine, started));
  while (!started && !drain_until_) co_await changed_.Wait();
  if (!started) co_await engine.Stop();
  co_await starting.Join();
  co_return *started;
}

Awaitable<void> ModelHost::StartInto(engine::Engine& engine, std::optional<Result<>>& started) {
  started = co_await engine.Start();
  changed_.NotifyAll();
}

Awaitable<Result<>> ModelHost::Dispatch(engine::Engine& engine) {
  DispatcherOptions options{.worker = "local/" + spec_.name,
                            .lane = spec_.name,
                            .concurrency = spec_.slots,
                            .reserved = spec_.reserved,
                            // An engine that is away for a while is waited for.
                            .give_up_after = std::chrono::hours(24 * 365)};
  dispatcher_ = std::make_unique<Dispatcher>(runtime_, queue_, engine, handler_, options);
  if (drain_until_) dispatcher_->Drain(*drain_until_);
  runtime::Scope helpers(runtime_);
  auto over = std::make_shared<bool>(false);
  helpers.Spawn(WatchEngine(&engine, over));
  if (spec_.local) helpers.Spawn(UnloadWhenIdle(dispatcher_.get(), over));
  base::SteadyTime began = runtime_.clock().Steady();
  Result<> dispatched = co_await dispatcher_->Run();
  // An engine that worked for a while is not one that cannot be had.
  if (runtime_.clock().Steady() - began > options_.longest_pause) pause_ = options_.first_pause;
  if (dispatcher_->counters().completed > 0) pause_ = options_.first_pause;
  *over = true;
  changed_.NotifyAll();
  co_await helpers.Join();
  co_return dispatched;
}

// An engine that is away keeps its batch work waiting, but nobody who waits for an answer.
Awaitable<void> ModelHost::WatchEngine(engine::Engine* engine, std::shared_ptr<bool> over) {
  base::SteadyTime seen = runtime_.clock().Steady();
  while (!*over) {
    base::SteadyTime now = runtime_.clock().Steady();
    if (engine->capacity().ready) {
      seen = now;
      if (std::exchange(trouble_, std::nullopt)) on_trouble_();
    } else if (now - seen >= options_.away_max) {
      trouble_ = base::Error(base::Code::kUnavailable,
                             fmt::format("{} does not answer", engine->Describe()));
      on_trouble_();
    }
    co_await changed_.WaitUntil(now + kAwayLook);
  }
  if (std::exchange(trouble_, std::nullopt)) on_trouble_();
}

Awaitable<void> ModelHost::UnloadWhenIdle(Dispatcher* dispatcher, std::shared_ptr<bool> over) {
  base::SteadyTime busy = runtime_.clock().Steady();
  while (!*over && !drain_until_) {
    base::SteadyTime now = runtime_.clock().Steady();
    if (dispatcher->running() > 0 || queue_.Waiting(spec_.name) > 0) busy = now;
    if (now - busy >= options_.idle_unload) co_return dispatcher->Drain(now);
    co_await changed_.WaitUntil(now + std::min<base::Micros>(options_.idle_unload / 4 + 1us, 10s));
  }
}

Awaitable<void> ModelHost::PauseAfter(base::Error trouble) {
  trouble_ = std::move(trouble);
  observer_.ModelFailed(spec_.name, *trouble_);
  on_trouble_();
  base::SteadyTime until = runtime_.clock().Steady() + pause_;
  pause_ = std::min(pause_ * 2, options_.longest_pause);
  while (!drain_until_ && runtime_.clock().Steady() < until) co_await changed_.WaitUntil(until);
}

}  // namespace inferq::service
