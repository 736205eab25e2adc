#pragma once

#include <string>

#include "app/progress_display.h"
#include "base/error.h"
#include "client/client.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// What all commands that speak to a server have in common. Stays where it is from the
/// declaration of its options to the end of parsing.
struct ClientFlags {
  std::string server{};
  std::string api_key_file{};
  double give_up_after_seconds = 120;
  bool repeat_creations = false;
  bool json = false;
  bool quiet = false;
  bool json_progress = false;

  ProgressStyle style() const;
};

void AddClientOptions(CLI::App& command, ClientFlags& flags);
/// --quiet and --json-progress, for commands that take their time.
void AddProgressOptions(CLI::App& command, ClientFlags& flags);
/// For commands that make something on the server.
void AddCreationOptions(CLI::App& command, ClientFlags& flags);

/// The server is that of --server, else of INFERQ_SERVER, else this machine's. The key comes from
/// the file, else from INFERQ_API_KEY, else from OPENAI_API_KEY; never from an argument, which
/// others can see. Fails when the file cannot be read or the server's address is none.
base::Result<client::ClientOptions> MakeClientOptions(const ClientFlags& flags);

}  // namespace inferq::app
