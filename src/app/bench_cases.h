#pragma once

#include "app/bench_session.h"

namespace inferq::app {

/// No-op tasks through submit, claim and complete, in chunks.
runtime::Awaitable<base::Result<>> BenchQueue(BenchSession& session);
/// Submissions of one task each.
runtime::Awaitable<base::Result<>> BenchSubmit(BenchSession& session);
/// From the acknowledgement of a task to a waiting worker's claim.
runtime::Awaitable<base::Result<>> BenchPickup(BenchSession& session);
/// A large batch file: upload, and from creation to validated and durable.
runtime::Awaitable<base::Result<>> BenchIngest(BenchSession& session);
/// A server killed with many tasks queued, from its start to its first claim.
runtime::Awaitable<base::Result<>> BenchRestart(BenchSession& session);

/// Phone agents at a faulty backend, alone and through a server.
runtime::Awaitable<base::Result<>> BenchAgents(BenchSession& session);

}  // namespace inferq::app
