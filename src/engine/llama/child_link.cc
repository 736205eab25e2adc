#include "engine/llama/child_link.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "runtime/local_socket.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using base::Fail;
using base::Result;
using runtime::Scope;

constexpr int kStderr = 2;
constexpr int kSocket = 3;
constexpr size_t kReadBytes = size_t{64} * 1024;
constexpr base::Micros kReapTimeout = std::chrono::seconds(2);  // closed socket to end of process

std::string BinaryBesideUs() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "inferq-engine" : (self.parent_path() / "inferq-engine").string();
}

std::vector<std::string> ArgumentsOf(const LlamaOptions& options) {
  std::vector<std::string> arguments = {"--model",      options.model_path,
                                        "--fd",         std::to_string(kSocket),
                                        "--slots",      std::to_string(options.slots),
                                        "--context",    std::to_string(options.context_tokens),
                                        "--kv-tokens",  std::to_string(options.kv_tokens),
                                        "--threads",    std::to_string(options.threads),
                                        "--batch",      std::to_string(options.batch_tokens),
                                        "--gpu-layers", std::to_string(options.gpu_layers),
                                        "--cache",      options.cache};
  if (!options.adapter_path.empty()) {
    arguments.insert(arguments.end(), {"--adapter", options.adapter_path, "--adapter-scale",
                                       fmt::format("{}", options.adapter_scale)});
  }
  return arguments;
}

}  // namespace

void LineTail::Add(std::string_view text) {
  for (char c : text) {
    if (c != '\n') {
      if (open_.size() < kLineBytes) open_.push_back(c);
      continue;
    }
    if (!open_.empty()) lines_.push_back(std::exchange(open_, {}));
    if (lines_.size() > kLines) lines_.pop_front();
  }
}

std::string LineTail::Text() const {
  std::string text = fmt::format("{}", fmt::join(lines_, "; "));
  if (open_.empty()) return text;
  return text.empty() ? open_ : text + "; " + open_;
}

ChildLink::~ChildLink() = default;

Result<> ChildLink::Spawn(MessageHandler handler) {
  INFERQ_ASSIGN(auto socket, runtime::MakeLocalSocketPair(runtime_));
  INFERQ_ASSIGN(auto errors, runtime::MakeLocalSocketPair(runtime_));
  runtime::Command command;
  command.path = options_.engine_binary.empty() ? BinaryBesideUs() : options_.engine_binary;
  command.arguments = ArgumentsOf(options_);
  command.descriptors.emplace_back(std::move(socket.theirs), kSocket);
  command.descriptors.emplace_back(std::move(errors.theirs), kStderr);
  const std::string path = command.path;
  auto process = runtime::ChildProcess::Spawn(runtime_, std::move(command));
  if (!process && process.error().code() == Code::kNotFound) {
    return Fail(Code::kNotFound, "{} does not exist: this installation runs no local models", path);
  }
  if (!process) return std::unexpected(std::move(process).error());
  process_ = *std::move(process);
  socket_ = std::move(socket.ours);
  stderr_ = std::move(errors.ours);
  handler_ = std::move(handler);
  last_sign_ = runtime_.clock().Steady();
  return {};
}

Awaitable<std::string> ChildLink::Run() {
  Scope scope(runtime_);
  scope.Spawn(WriteFrames());
  scope.Spawn(ReadStderr());
  scope.Spawn(Watch());
  co_await ReadFrames();  // until the child closed its end, which is when it dies
  closed_ = true;
  wake_.NotifyAll();
  over_.NotifyAll();
  auto status = co_await process_->Wait(runtime_.clock().Steady() + kReapTimeout);
  if (!status) {
    process_->Kill();
    status = co_await process_->Wait(base::SteadyTime::max());
  }
  socket_->Close();
  stderr_->Close();
  co_await scope.Join();
  process_.reset();
  if (killed_because_) co_return *std::move(killed_because_);
  death_signal_ = status->signal;
  co_return status->ToString();
}

Awaitable<void> ChildLink::ReadFrames() {
  std::string buffer(kReadBytes, '\0');
  for (;;) {
    auto size = co_await socket_->Read(buffer);
    if (!size || *size == 0) co_return;
    last_sign_ = runtime_.clock().Steady();
    if (auto result = Dispatch({buffer.data(), *size}); !result) {
      Kill(fmt::format("was stopped: {}", result.error().message()));
      co_return;
    }
  }
}

Result<> ChildLink::Dispatch(std::string_view bytes) {
  frames_.Append(bytes);
  for (;;) {
    INFERQ_ASSIGN(const auto payload, frames_.Next());
    if (!payload) return {};
    INFERQ_ASSIGN(Message message, DecodePayload(*payload));
    handler_(std::move(message));
  }
}

Awaitable<void> ChildLink::ReadStderr() {
  std::string buffer(4096, '\0');
  for (;;) {
    auto size = co_await stderr_->Read(buffer);
    if (!size || *size == 0) co_return;
    stderr_tail_.Add({buffer.data(), *size});
  }
}

Awaitable<void> ChildLink::WriteFrames() {
  while (!closed_) {
    if (outbox_.empty()) {
      co_await wake_.Wait();
      continue;
    }
    const std::string bytes = std::exchange(outbox_, {});
    auto result = co_await socket_->Write(bytes, {});
    if (!result) co_return;  // the reading side sees it, too
  }
}

Awaitable<void> ChildLink::Watch() {
  while (!closed_) {
    const base::SteadyTime now = runtime_.clock().Steady();
    const bool expecting = silence_max_ > base::Micros(0);
    if (expecting && now >= last_sign_ + silence_max_) {
      Kill(fmt::format("was stopped: no sign of life for {} s",
                       std::chrono::duration_cast<std::chrono::seconds>(silence_max_).count()));
      co_return;
    }
    co_await over_.WaitUntil(expecting ? last_sign_ + silence_max_ : base::SteadyTime::max());
  }
}

void ChildLink::Send(std::string_view frame) {
  if (closed_) return;
  outbox_.append(frame);
  wake_.NotifyAll();
}

void ChildLink::Kill(std::string why) {
  if (!process_ || killed_because_) return;
  killed_because_ = std::move(why);
  process_->Kill();
}

void ChildLink::ExpectSignsOfLife(base::Micros limit) {
  if (limit == silence_max_) return;
  silence_max_ = limit;
  last_sign_ = runtime_.clock().Steady();
  over_.NotifyAll();
}

}  // namespace inferq::engine::llama
