// inferq-make-gguf: writes GGUF models, of random weights for tests and benchmarks, or of trained
// ones.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "gguf/lora_writer.h"
#include "gguf/model_writer.h"
#include "gguf/trained_model.h"

namespace {

using inferq::gguf::ModelSpec;

/// Names and values a person may write, as CLI11 wants them.
const std::map<std::string, inferq::gguf::Arch> kArchs = {{"llama", inferq::gguf::Arch::kLlama},
                                                          {"glm4", inferq::gguf::Arch::kGlm4},
                                                          {"bert", inferq::gguf::Arch::kBert}};
const std::map<std::string, inferq::gguf::WeightType> kTypes = {
    {"f32", inferq::gguf::WeightType::kF32},
    {"f16", inferq::gguf::WeightType::kF16},
    {"q8_0", inferq::gguf::WeightType::kQ8_0}};

/// What the command line says beyond the preset.
struct Overrides {
  std::optional<inferq::gguf::Arch> arch;
  std::optional<inferq::gguf::WeightType> type;
  std::optional<uint64_t> seed;
  bool tools = false;
  std::string lora_for;
  std::optional<uint32_t> layers, embd, heads, kv_heads, ff, context, vocab;
};

template <class T>
void Apply(const std::optional<T>& value, T& field) {
  if (value) field = *value;
}

ModelSpec Combine(const std::string& preset, const Overrides& o) {
  ModelSpec spec = inferq::gguf::Preset(preset).value();
  Apply(o.arch, spec.arch);
  Apply(o.type, spec.type);
  Apply(o.seed, spec.seed);
  Apply(o.layers, spec.layers);
  Apply(o.embd, spec.embd);
  Apply(o.heads, spec.heads);
  Apply(o.kv_heads, spec.kv_heads);
  Apply(o.ff, spec.ff);
  Apply(o.context, spec.context);
  Apply(o.vocab, spec.vocab);
  spec.tools = o.tools;
  return spec;
}

struct Arguments {
  std::string preset = "tiny", weights, out;
  Overrides overrides;
};

void AddOptions(CLI::App& app, Arguments& arguments) {
  Overrides& o = arguments.overrides;
  app.add_option("--out", arguments.out, "File to write; its directory is created")->required();
  app.add_option("--type", o.type, "Type of the weights: f16 (default), f32 or q8_0")
      ->transform(CLI::CheckedTransformer(kTypes));
  CLI::Option* weights = app.add_option(
      "--weights", arguments.weights,
      "Folder with model.json and weights.safetensors of a trained model, instead of what follows");
  app.add_option(
      "--lora-for", o.lora_for,
      "Write a random LoRA adapter for this model instead; of the others only --seed and "
      "--out count");
  CLI::Option* random[] = {
      app.add_option("--preset", arguments.preset,
                     "Sizes to start from: tiny (< 1 MB) or 150m (150 million parameters)")
          ->check(CLI::IsMember({"tiny", "150m"}))
          ->capture_default_str(),
      app.add_option("--arch", o.arch, "llama (default), glm4, or bert, which only embeds")
          ->transform(CLI::CheckedTransformer(kArchs)),
      app.add_option("--seed", o.seed, "The same seed and sizes give the same file (default 1)"),
      app.add_option("--layers", o.layers, "Layers"),
      app.add_option("--embd", o.embd, "Width"),
      app.add_option("--heads", o.heads, "Attention heads"),
      app.add_option("--kv-heads", o.kv_heads, "Key/value heads"),
      app.add_option("--ff", o.ff, "Width of the feed-forward part"),
      app.add_option("--context", o.context, "Context length in tokens"),
      app.add_flag("--tools", o.tools, "A chat template with tools"),
      app.add_option("--vocab", o.vocab,
                     "Vocabulary size, padded with unused tokens; 0: no padding"),
  };
  for (CLI::Option* option : random) option->excludes(weights);
}

inferq::base::Result<> WriteTrained(const Arguments& arguments) {
  INFERQ_ASSIGN(auto model, inferq::gguf::ReadTrainedModel(arguments.weights));
  Apply(arguments.overrides.type, model.spec.type);
  return inferq::gguf::WriteTrainedModel(model, arguments.out);
}

inferq::base::Result<> Write(const Arguments& arguments) {
  const Overrides& o = arguments.overrides;
  if (!o.lora_for.empty()) {
    return inferq::gguf::WriteLora({.model = o.lora_for, .seed = o.seed.value_or(1)},
                                   arguments.out);
  }
  if (!arguments.weights.empty()) return WriteTrained(arguments);
  return inferq::gguf::WriteModel(Combine(arguments.preset, arguments.overrides), arguments.out);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Writes a GGUF model: of random weights for tests and benchmarks, or of trained weights.");
  Arguments arguments;
  AddOptions(app, arguments);
  CLI11_PARSE(app, argc, argv);

  const std::string& out = arguments.out;
  std::filesystem::path directory = std::filesystem::path(out).parent_path();
  std::error_code error;
  if (!directory.empty()) std::filesystem::create_directories(directory, error);
  if (error) {
    fmt::print(stderr, "inferq-make-gguf: create {}: {}\n", directory.string(), error.message());
    return 1;
  }
  if (auto written = Write(arguments); !written) {
    fmt::print(stderr, "inferq-make-gguf: {}\n", written.error().message());
    return 1;
  }
  fmt::print("{}: {:.1f} MB\n", out, static_cast<double>(std::filesystem::file_size(out)) / 1e6);
  return 0;
}
