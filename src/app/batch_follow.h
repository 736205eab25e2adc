#pragma once

#include <string>

#include "app/client_session.h"

namespace inferq::app {

/// Writes the results of a batch as its lines end, until it has ended: those that succeeded to
/// `output`, the others to `errors` ("": beside the output; nowhere when that is "-", standard
/// output). How far it came stands beside each file in FILE.ID.offset, so that the same command
/// goes on there. @return an ExitCode; what went wrong was printed.
runtime::Awaitable<int> FollowResults(ClientSession& session, std::string id, std::string output,
                                      std::string errors);

}  // namespace inferq::app
