#pragma once

#include <memory>
#include <string>

#include "queue/local/journal.h"

namespace inferq::queue {

/// Reads a journal beside the connection that writes it. Fails as sqlite::OpenReader.
base::Result<std::unique_ptr<JournalReader>> OpenSqliteReader(const std::string& path,
                                                              const std::string& vfs);

}  // namespace inferq::queue
