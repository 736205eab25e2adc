#include "app/client_options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "base/file_system.h"
#include "http/url.h"

namespace inferq::app {
namespace {

base::Result<std::string> ApiKey(const ClientFlags& flags) {
  std::string key;
  if (!flags.api_key_file.empty()) {
    INFERQ_ASSIGN(key, base::ReadFile(base::PosixFileSystem(), flags.api_key_file));
  } else if (const char* ours = std::getenv("INFERQ_API_KEY")) {
    key = ours;
  } else if (const char* openai = std::getenv("OPENAI_API_KEY")) {
    key = openai;
  }
  return key.substr(0, key.find_first_of("\r\n"));
}

// Not CLI11's envname(): the flags are those of several commands, and the variable would speak for
// the ones that were not given.
std::string ServerOf(const ClientFlags& flags) {
  if (!flags.server.empty()) return flags.server;
  const char* named = std::getenv("INFERQ_SERVER");
  return named && *named ? named : client::ClientOptions().base_url;
}

}  // namespace

ProgressStyle ClientFlags::style() const {
  if (quiet) return ProgressStyle::kQuiet;
  return json_progress ? ProgressStyle::kJson : ProgressStyle::kAuto;
}

void AddClientOptions(CLI::App& command, ClientFlags& flags) {
  auto* group = command.add_option_group("Server", "Whom to ask");
  group->add_option(
      "--server", flags.server,
      "Base URL of the server: inferq, or any with OpenAI's files and batches (default: "
      "INFERQ_SERVER, else http://127.0.0.1:8080/v1)");
  group->add_option("--api-key-file", flags.api_key_file,
                    "File whose first line is the key (else INFERQ_API_KEY or OPENAI_API_KEY)");
  group
      ->add_option("--give-up-after", flags.give_up_after_seconds,
                   "Seconds that the server may be away or turn the command away")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command.add_flag("--json", flags.json, "Print the server's objects, one a line");
}

void AddProgressOptions(CLI::App& command, ClientFlags& flags) {
  auto* quiet = command.add_flag("-q,--quiet", flags.quiet, "Show only problems");
  command
      .add_flag("--json-progress", flags.json_progress,
                "Progress and summary as JSON lines on standard error")
      ->excludes(quiet);
}

void AddCreationOptions(CLI::App& command, ClientFlags& flags) {
  command.add_flag("--repeat-creations", flags.repeat_creations,
                   "The server knows an Idempotency-Key again, so that an upload or a batch whose "
                   "answer was lost may be sent once more");
}

base::Result<client::ClientOptions> MakeClientOptions(const ClientFlags& flags) {
  std::string server = ServerOf(flags);
  auto url = http::ParseUrl(server);
  if (!url) return std::unexpected(std::move(url).error().WithContext("--server"));
  INFERQ_ASSIGN(std::string key, ApiKey(flags));
  return client::ClientOptions{
      .base_url = std::move(server),
      .api_key = std::move(key),
      .give_up_after = base::Micros(static_cast<int64_t>(flags.give_up_after_seconds * 1e6)),
      .repeat_creations = flags.repeat_creations,
      .cancel = std::make_shared<runtime::Cancellation>()};
}

}  // namespace inferq::app
