#include "app/input_options.h"

#include <CLI/CLI.hpp>

namespace inferq::app {
namespace {

constexpr uint64_t kMaxTokensLimit = 1'000'000;

char SeparatorOf(const std::string& name) {
  return name.empty() ? '\0' : name == "tab" ? '\t' : name[0];
}

wire::Endpoint EndpointOf(const std::string& name) {
  if (name == "chat") return wire::Endpoint::kChatCompletions;
  return name == "completions" ? wire::Endpoint::kCompletions : wire::Endpoint::kEmbeddings;
}

}  // namespace

void AddFormatOptions(CLI::App& app, InputOptions& o) {
  app.add_option("--input-format", o.format, "What INPUT holds, when it is not recognised")
      ->check(CLI::IsMember({"auto", "batch", "csv", "json", "jsonl"}))
      ->capture_default_str();
  app.add_option("--separator", o.separator,
                 "Column separator of a CSV: ',' ';' or 'tab' (default: recognised)")
      ->check(CLI::IsMember({",", ";", "tab"}));
}

void AddRequestOptions(CLI::App& app, InputOptions& o) {
  auto* group = app.add_option_group("Requests",
                                     "How rows become requests; batch lines keep their own values");
  group->add_option("--template", o.prompt_template,
                    "The prompt, with {{column}} for a row's values");
  group->add_option("--system", o.system, "System message of every request");
  group->add_option("--endpoint", o.endpoint, "Kind of request made of rows")
      ->check(CLI::IsMember({"chat", "completions", "embeddings"}))
      ->capture_default_str();
  group->add_option("--max-tokens", o.max_tokens, "Longest answer, in tokens")
      ->check(CLI::Range(uint64_t{1}, kMaxTokensLimit));
  group
      ->add_option("--temperature", o.temperature,
                   "0 picks the most probable token, higher varies more")
      ->check(CLI::Range(0.0, 2.0));
  group
      ->add_option("--top-p", o.top_p,
                   "Sample from the most probable tokens of this total probability")
      ->check(CLI::Range(0.0, 1.0));
  group->add_option("--seed", o.seed, "Makes sampling repeatable (and --engine fake)");
  group->add_option("--body", o.extra_body,
                    "JSON object whose fields are added to every request, for example "
                    "'{\"stop\":[\"\\n\"],\"min_p\":0.05}'");
}

ingest::SourceOptions MakeSourceOptions(const InputOptions& o, std::string file_name,
                                        std::string model) {
  return {.format = *ingest::ParseFormat(o.format),
          .file_name = std::move(file_name),
          .separator = SeparatorOf(o.separator),
          .model = std::move(model),
          .batch_endpoint = {},
          .row = {.prompt_template = o.prompt_template,
                  .system = o.system,
                  .max_tokens = o.max_tokens,
                  .temperature = o.temperature,
                  .top_p = o.top_p,
                  .seed = o.seed,
                  .extra_body = o.extra_body,
                  .endpoint = EndpointOf(o.endpoint)}};
}

}  // namespace inferq::app
