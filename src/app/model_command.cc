#include "app/model_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "app/exit_code.h"
#include "app/model_bench.h"
#include "app/model_view.h"
#include "app/progress.h"
#include "app/serve_options.h"
#include "app/table.h"
#include "base/file_system.h"
#include "engine/llama/gguf_file.h"
#include "engine/llama/machine.h"
#include "wire/json.h"

namespace inferq::app {

struct ModelCommand::Options {
  CLI::App* inspect = nullptr;
  CLI::App* bench_command = nullptr;
  std::string path;
  std::string directory = "models";
  uint64_t context_tokens = 0;
  bool json = false;
  bool whole_template = false;
  ModelBenchOptions bench;
};

namespace {

constexpr const char* kFooter = R"(
Examples:
  inferq model inspect glm-4-9b.gguf         what the file holds, and what fits into this machine
  inferq model bench glm-4-9b.gguf           tokens a second, alone and with many at once
  inferq model list                          the models that `inferq serve` would find in ./models

docs/models.md explains every figure.)";

constexpr const char* kInspectFooter = R"(
Reads only the header and checks that all weights are there; nothing is loaded. Of a split model
name the first part.
Examples:
  inferq model inspect glm-4-9b.gguf
  inferq model inspect glm-4-9b.gguf --context 32768      how many sequences of that length fit
  inferq model inspect glm-4-9b.gguf --template > chat.jinja
  inferq model inspect glm-4-9b.gguf --json | jq .kv_bytes_per_token
Exit codes: 0 shown; 2 wrong usage, or no whole GGUF file; 4 standard output is closed.)";

constexpr const char* kBenchFooter = R"(
Runs the model as `inferq run` does, at one concurrency after the other: prompts without answers,
then answers. Ctrl-C ends it with what was measured until then.
Examples:
  inferq model bench glm-4-9b.gguf
  inferq model bench glm-4-9b.gguf --concurrency 1,32 --seconds 120 --threads 8
  inferq model bench glm-4-9b.gguf --json | jq '.levels[-1].generated_tokens_per_s'
Exit codes: 0 measured; 2 wrong usage; 3 the model cannot be used; 4 standard output is closed; 130
interrupted.)";

constexpr const char* kListFooter = R"(
Exit codes: 0 listed; 2 the folder cannot be read, or two files would be one model.)";

void Complain(const char* command, const std::string& message) {
  fmt::print(stderr, "inferq model {}: {}\n", command, message);
}

int Print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0 ? kOk : kStorageFailed;
}

Room RoomHere(uint64_t context_tokens) {
  return {.available_bytes = engine::llama::AvailableMemory(),
          .threads = engine::llama::UsableCores(),
          .context_tokens = context_tokens};
}

int Inspect(const std::string& path, uint64_t context_tokens, bool json, bool whole_template) {
  auto file = engine::llama::ReadGgufFile(path);
  if (!file) return Complain("inspect", file.error().message()), kUsage;
  const auto facts = FactsOf(*file);
  const Room room = RoomHere(context_tokens);
  if (json) return Print(ModelJson(path, facts, room, whole_template) + "\n");
  if (!whole_template) return Print(ModelText(path, facts, room));
  if (facts.chat_template) return Print(*facts.chat_template);
  return Complain("inspect", fmt::format("model {} has no chat template", path)), kUsage;
}

// A row and an object of each model that the server would offer; of broken ones why they are.
int List(const std::string& directory, bool json) {
  auto models = FindModels(base::PosixFileSystem(), directory);
  if (!models) return Complain("list", models.error().message()), kUsage;
  const Room room = RoomHere(0);
  Table table({"MODEL", "SIZE", "WHAT"});
  std::string objects;
  for (const ModelOptions& model : *models) {
    auto file = engine::llama::ReadGgufFile(model.path);
    if (file) {
      const auto facts = FactsOf(*file);
      table.AddRow({model.name, Bytes(facts.file_bytes), ModelLine(facts)});
      objects += ModelJson(model.path, facts, room, false) + "\n";
    } else {
      table.AddRow({model.name, "-", "cannot be used: " + file.error().message()});
      objects += fmt::format("{{\"path\":{},\"error\":{}}}\n", wire::JsonString(model.path),
                             wire::JsonString(file.error().message()));
    }
  }
  if (json) return Print(objects);
  if (models->empty()) return Complain("list", "no .gguf files in " + directory), kOk;
  return Print(table.Text());
}

}  // namespace

ModelCommand::ModelCommand(CLI::App& root) : options_(std::make_unique<Options>()) {
  Options& o = *options_;
  command_ = root.add_subcommand("model", "Look into GGUF files and measure them here");
  command_->require_subcommand(1);
  command_->footer(kFooter);

  o.inspect = command_->add_subcommand("inspect", "Print what a GGUF file holds");
  o.inspect->footer(kInspectFooter);
  o.inspect->add_option("FILE", o.path, "GGUF file; of a split model the first part")->required();
  o.inspect
      ->add_option(
          "--context", o.context_tokens,
          "Tokens of one sequence (default: what an engine chooses, the model's up to 8192)")
      ->check(CLI::Range(16, 10'000'000));
  o.inspect->add_flag("--template", o.whole_template,
                      "Print the whole chat template and nothing else; with --json as a key");
  o.inspect->add_flag("--json", o.json, "Print one JSON object");

  o.bench_command = command_->add_subcommand("bench", "Measure tokens a second on this machine");
  o.bench_command->footer(kBenchFooter);
  AddModelBenchOptions(*o.bench_command, o.bench);

  CLI::App* list = command_->add_subcommand("list", "List the models of a folder");
  list->footer(kListFooter);
  list->add_option("DIR", o.directory, "Folder of GGUF files")->capture_default_str();
  list->add_flag("--json", o.json, "Print one JSON object a line");
}

ModelCommand::~ModelCommand() = default;

bool ModelCommand::chosen() const { return command_->parsed(); }

int ModelCommand::Execute() {
  const Options& o = *options_;
  if (o.inspect->parsed()) return Inspect(o.path, o.context_tokens, o.json, o.whole_template);
  if (o.bench_command->parsed()) return RunModelBench(o.bench);
  return List(o.directory, o.json);
}

}  // namespace inferq::app
