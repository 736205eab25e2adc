#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

struct ModelBenchOptions {
  std::string model{};
  std::string adapter{};
  double adapter_scale = 1;
  std::vector<uint32_t> concurrency = {1, 4, 16, 64};
  double seconds = 40;
  uint32_t prompt_tokens = 0;  ///< 0: as many as the time allows, at most 256.
  uint32_t output_tokens = 128;
  uint32_t threads = 0;
  bool json = false;
};

/// What one concurrency gave. nullopt: nothing ended in its time.
struct ModelBenchLevel {
  uint32_t concurrency = 0;
  std::optional<double> prompt_tokens_per_s{};
  std::optional<double> generated_tokens_per_s{};
  std::optional<double> first_token_ms{};  ///< Of a prompt alone; only at concurrency 1.
};

struct ModelBenchResult {
  std::string model;  ///< What it is.
  uint32_t threads = 0;
  uint64_t context_tokens = 0;
  uint32_t prompt_tokens = 0;
  double load_seconds = 0;
  std::vector<ModelBenchLevel> levels{};
  bool interrupted = false;
};

std::string ModelBenchText(const ModelBenchResult& result);
std::string ModelBenchJson(const ModelBenchOptions& options, const ModelBenchResult& result);

void AddModelBenchOptions(CLI::App& command, ModelBenchOptions& options);
/// @return an ExitCode.
int RunModelBench(const ModelBenchOptions& options);

}  // namespace inferq::app
