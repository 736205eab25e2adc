#pragma once

#include <string>

#include "app/client_session.h"

namespace inferq::app {

/// Brings the content of a server's file to `path`, or to standard output for "-". A file appears
/// under its name when it is whole; until then it is `path`.ID.part, which the same command goes on
/// with.
/// @return kOk, or the code of the failure, which was printed.
runtime::Awaitable<int> DownloadTo(ClientSession& session, std::string file_id, std::string path);

}  // namespace inferq::app
