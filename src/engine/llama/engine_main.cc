// inferq-engine: runs one model for the server that started it, over the socket it was given. A
// process of its own, because llama.cpp aborts on some damaged files and when memory runs out.

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>
#include <thread>
#include <variant>

#include "engine/llama/channel.h"
#include "engine/llama/exit_codes.h"
#include "engine/llama/model.h"
#include "engine/llama/preparer.h"
#include "engine/llama/protocol.h"
#include "engine/llama/step_loop.h"

namespace inferq::engine::llama {
namespace {

struct Arguments {
  ModelOptions model;
  int fd = -1;
};

// Ends at once: nothing of ours is worth saving, and the model may be in the middle of a step.
[[noreturn]] void EndNow(ExitCode code) { ::_exit(code); }

[[noreturn]] void EndNow(ExitCode code, const base::Error& error) {
  std::fprintf(stderr, "inferq-engine: %s\n", error.ToString().c_str());
  ::_exit(code);
}

void SendOrEnd(Channel& channel, const Message& message) {
  if (!channel.Send(message)) EndNow(kExitStopped);
}

// Reads what the server wants, until it says stop or is gone.
void ReadMessages(Channel& channel, Preparer& preparer, Inbox& inbox) {
  pthread_setname_np(pthread_self(), "reader");
  for (;;) {
    auto message = channel.Receive();
    if (!message && message.error().code() == base::Code::kDataLoss)
      EndNow(kExitProtocol, message.error());
    if (!message) EndNow(kExitStopped);
    if (auto* submit = std::get_if<Submit>(&*message)) preparer.Submit(std::move(*submit));
    if (auto* cancel = std::get_if<Cancel>(&*message); cancel && !preparer.Cancel(cancel->id))
      inbox.Push(*cancel);
    if (std::holds_alternative<Stop>(*message)) return inbox.Push(Stop{});
  }
}

// @return false at Stop.
bool Apply(Order order, StepLoop& loop) {
  if (auto* prepared = std::get_if<Prepared>(&order))
    loop.Submit(prepared->id, std::move(prepared->request), std::move(prepared->prompt));
  if (auto* cancel = std::get_if<Cancel>(&order)) loop.Cancel(cancel->id);
  return !std::holds_alternative<Stop>(order);
}

void RunSteps(Channel& channel, Inbox& inbox, Model& model) {
  pthread_setname_np(pthread_self(), "step");
  StepHooks hooks;
  hooks.on_start = [&channel](uint64_t id) { SendOrEnd(channel, Started{{id}}); };
  hooks.on_park = [&channel](uint64_t id) { SendOrEnd(channel, Parked{{id}}); };
  StepLoop loop(model, std::move(hooks));
  for (;;) {
    for (Order& order : inbox.Take(!loop.HasWork())) {
      if (!Apply(std::move(order), loop)) return;
    }
    if (!loop.HasWork()) continue;
    auto deltas = loop.Step();
    if (!deltas) EndNow(kExitContext, deltas.error());
    SendOrEnd(channel, Step{*std::move(deltas), loop.stats()});
  }
}

int Run(const Arguments& arguments) {
  Channel channel(arguments.fd);
  InitLlama();
  auto model = Model::Load(arguments.model);
  if (!model) {
    const base::Error& error = model.error();
    SendOrEnd(channel, LoadError{.code = error.code(),
                                 .message = error.message(),
                                 .permanent = error.code() != base::Code::kResourceExhausted});
    return kExitLoad;
  }
  SendOrEnd(channel, (*model)->facts());
  Inbox inbox;
  Preparer::Hooks hooks;
  hooks.on_start = [&channel](uint64_t id) { SendOrEnd(channel, Started{{id}}); };
  hooks.on_ready = [&channel, &inbox](Prepared prepared) {
    SendOrEnd(channel, Parked{{prepared.id}});
    inbox.Push(std::move(prepared));
  };
  Preparer preparer(**model, std::move(hooks));
  std::thread reader(ReadMessages, std::ref(channel), std::ref(preparer), std::ref(inbox));
  std::thread step(RunSteps, std::ref(channel), std::ref(inbox), std::ref(**model));
  step.join();
  reader.join();
  return kExitStopped;
}

int Main(int argc, char** argv) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);     // beside the closed socket, which ends us too
  ::setenv("GGML_NO_BACKTRACE", "1", 0);  // an abort is one line, not a debugger's
  Arguments arguments;
  ModelOptions& model = arguments.model;
  CLI::App app("Runs a model for inferq. Started by inferq itself.", "inferq-engine");
  app.add_option("--model", model.path, "GGUF file")->required();
  app.add_option("--adapter", model.adapter_path, "LoRA adapter (GGUF) of the model");
  app.add_option("--adapter-scale", model.adapter_scale, "How much of the adapter");
  app.add_option("--fd", arguments.fd, "Socket to the server")->required();
  app.add_option("--slots", model.slots, "Sequences at once, 0: as memory allows");
  app.add_option("--context", model.context_tokens,
                 "Tokens of one request, 0: the model's, at most 8192");
  app.add_option("--kv-tokens", model.kv_tokens,
                 "Tokens of all slots together, 0: slots * context");
  app.add_option("--threads", model.threads, "Threads of a step, 0: physical cores");
  app.add_option("--batch", model.batch_tokens, "Most tokens in a step, 0: 512");
  const std::map<std::string, CacheKind> caches{{"auto", CacheKind::kAuto},
                                                {"shared", CacheKind::kShared},
                                                {"separate", CacheKind::kSeparate}};
  app.add_option("--cache", model.cache, "One cache for all sequences, or one for each")
      ->transform(CLI::CheckedTransformer(caches));
  app.add_option("--gpu-layers", model.gpu_layers, "Layers on the GPU, -1: all");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitStopped : kExitUsage;
  }
  return Run(arguments);
}

}  // namespace
}  // namespace inferq::engine::llama

int main(int argc, char** argv) {
  try {
    return inferq::engine::llama::Main(argc, argv);
  } catch (const std::exception& error) {  // llama.cpp throws here and there
    std::fprintf(stderr, "inferq-engine: %s\n", error.what());
    return inferq::engine::llama::kExitContext;
  }
}
