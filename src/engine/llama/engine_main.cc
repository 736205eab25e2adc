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
#include <optional>
#include <string>
#include <thread>
#include <variant>

#include "engine/llama/channel.h"
#include "engine/llama/embedder.h"
#include "engine/llama/exit_codes.h"
#include "engine/llama/model.h"
#include "engine/llama/preparer.h"
#include "engine/llama/protocol.h"
#include "engine/llama/step_loop.h"

namespace inferq::engine::llama {
namespace {

struct Arguments {
  ModelOptions model;
  EmbedOptions embed;
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
    if (auto* embed = std::get_if<Embed>(&*message)) inbox.Push(std::move(*embed));
    if (auto* cancel = std::get_if<Cancel>(&*message); cancel && !preparer.Cancel(cancel->id))
      inbox.Push(*cancel);
    if (std::holds_alternative<Stop>(*message)) return inbox.Push(Stop{});
  }
}

// What the step thread works on.
struct Work {
  std::optional<StepLoop> loop;  // nullopt: the model only embeds
  Embedder embedder;
  bool generates() const { return loop && loop->HasWork(); }
  bool any() const { return generates() || embedder.HasWork(); }
};

Step OnlyEmbeds(uint64_t id) {
  SequenceDelta delta;
  delta.id = id;
  delta.error = RequestError{base::Code::kInvalidArgument,
                             "this model writes no text: it is for /v1/embeddings", "body.model"};
  return Step{{std::move(delta)}, {}};
}

// @return false at Stop.
bool Apply(Order order, Channel& channel, Work& work) {
  if (auto* prepared = std::get_if<Prepared>(&order)) {
    if (work.loop)
      work.loop->Submit(prepared->id, std::move(prepared->request), std::move(prepared->prompt));
    else
      SendOrEnd(channel, OnlyEmbeds(prepared->id));
  }
  if (auto* embed = std::get_if<Embed>(&order)) work.embedder.Submit(std::move(*embed));
  if (auto* cancel = std::get_if<Cancel>(&order)) {
    if (work.loop) work.loop->Cancel(cancel->id);
    work.embedder.Cancel(cancel->id);
  }
  return !std::holds_alternative<Stop>(order);
}

StepHooks HooksOf(Channel& channel) {
  StepHooks hooks;
  hooks.on_start = [&channel](uint64_t id) { SendOrEnd(channel, Started{{id}}); };
  hooks.on_park = [&channel](uint64_t id) { SendOrEnd(channel, Parked{{id}}); };
  return hooks;
}

// Generation and embeddings take turns.
void RunSteps(Channel& channel, Inbox& inbox, Model& model, EmbedOptions embed) {
  pthread_setname_np(pthread_self(), "step");
  auto on_start = [&channel](std::vector<uint64_t> ids) {
    SendOrEnd(channel, Started{std::move(ids)});
  };
  Work work{std::nullopt, Embedder(model, embed, on_start)};
  if (model.generates()) work.loop.emplace(model, HooksOf(channel));
  for (;;) {
    for (Order& order : inbox.Take(!work.any())) {
      if (!Apply(std::move(order), channel, work)) return;
    }
    if (work.generates()) {
      auto deltas = work.loop->Step();
      if (!deltas) EndNow(kExitContext, deltas.error());
      SendOrEnd(channel, Step{*std::move(deltas), work.loop->stats()});
    }
    if (work.embedder.HasWork()) {
      auto embedded = work.embedder.Step();
      if (!embedded) EndNow(kExitContext, embedded.error());
      SendOrEnd(channel, *std::move(embedded));
    }
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
  std::thread step(RunSteps, std::ref(channel), std::ref(inbox), std::ref(**model),
                   arguments.embed);
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
  app.add_option("--embed-tokens", model.embed_tokens,
                 "Longest input of an embedding, 0: the context, at most 2048");
  const std::map<std::string, Pooling> poolings{{"model", Pooling::kModel},
                                                {"mean", Pooling::kMean},
                                                {"cls", Pooling::kCls},
                                                {"last", Pooling::kLast}};
  app.add_option("--pooling", arguments.embed.pooling, "How token vectors become one")
      ->transform(CLI::CheckedTransformer(poolings));
  app.add_option("--normalize", arguments.embed.normalize, "Embeddings have length 1");
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
