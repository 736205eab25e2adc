#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "service/ingest/line_source.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// What the input holds and how its rows become requests: the options that `run` and `batch
/// submit` share. They stay where they are from their declaration to the end of parsing.
struct InputOptions {
  std::string format = "auto";
  std::string separator{};
  std::string endpoint = "chat";
  std::string prompt_template{};
  std::string system{};
  std::string extra_body{};
  std::optional<uint64_t> max_tokens{};
  std::optional<double> temperature{};
  std::optional<double> top_p{};
  std::optional<uint64_t> seed{};
};

void AddFormatOptions(CLI::App& app, InputOptions& options);
void AddRequestOptions(CLI::App& app, InputOptions& options);

/// @param file_name  for its extension. @param model  of rows, and of batch lines that name none.
ingest::SourceOptions MakeSourceOptions(const InputOptions& options, std::string file_name,
                                        std::string model);

}  // namespace inferq::app
