#include "app/serve_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/config_flags.h"
#include "app/exit_code.h"
#include "app/serve_options.h"
#include "app/serve_session.h"
#include "base/file_system.h"

namespace inferq::app {
namespace {

constexpr const char* kFooter = R"(
Examples:
  inferq serve                             models of ./models on http://127.0.0.1:8080/v1
  inferq serve --config /etc/inferq.toml   docs/config.md describes the file
  inferq serve --listen 127.0.0.1:9000 --data /var/lib/inferq
Then, for example:
  curl http://127.0.0.1:8080/v1/models
  inferq batch submit prompts.jsonl --model NAME --wait -o results.jsonl

SIGTERM or Ctrl-C: nothing new is begun, running work gets drain.grace to finish; once more stops at
once. What is unfinished goes on with the next start.
Exit codes: 0 stopped; 2 wrong configuration or address; 4 the store cannot be used.)";

}  // namespace

ServeCommand::ServeCommand(CLI::App& root)
    : command_(root.add_subcommand(
          "serve", "Serve files, batches and online requests over HTTP (OpenAI's API)")),
      flags_(std::make_unique<ConfigFlags>(*command_, ServeSchema())) {
  command_->footer(kFooter);
}

ServeCommand::~ServeCommand() = default;

bool ServeCommand::chosen() const { return command_->parsed(); }

int ServeCommand::Execute() {
  auto options = LoadServeOptions(flags_->sources(), base::PosixFileSystem());
  if (!options) {
    std::fprintf(stderr, "inferq serve: %s\n", options.error().message().c_str());
    return kUsage;
  }
  ServeSession session(*std::move(options));
  return session.Run();
}

}  // namespace inferq::app
