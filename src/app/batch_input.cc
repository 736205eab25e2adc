#include "app/batch_input.h"

#include <unistd.h>

#include <cerrno>

#include "base/rng.h"

namespace inferq::app {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr size_t kBuffer = 1u << 20;

// A new file that nobody else can open; its name is gone at once, so a crash leaves nothing.
Result<std::shared_ptr<base::File>> OpenSpool(const std::string& directory) {
  base::FileSystem& fs = base::PosixFileSystem();
  std::string path = fmt::format("{}/inferq-batch-{:016x}", directory, base::RandomSeed());
  INFERQ_ASSIGN(std::shared_ptr<base::File> file, fs.Open(path, base::OpenMode::kCreateNew));
  INFERQ_TRY(fs.Remove(path));
  return file;
}

// Appends to a file in large pieces.
class Appender {
 public:
  explicit Appender(base::File& file) : file_(file) {}
  Result<> Add(std::string_view line) {
    buffer_.append(line).push_back('\n');
    return buffer_.size() < kBuffer ? Result<>{} : Flush();
  }
  Result<> Flush() {
    INFERQ_TRY(file_.WriteAt(offset_, buffer_));
    offset_ += buffer_.size();
    buffer_.clear();
    return {};
  }

 private:
  base::File& file_;
  std::string buffer_;
  uint64_t offset_ = 0;
};

std::unexpected<BatchInputFailure> Failure(bool storage, Error error) {
  return std::unexpected(BatchInputFailure{.storage = storage, .error = std::move(error)});
}

}  // namespace

std::expected<BatchInput, BatchInputFailure> MakeBatchInput(
    ingest::ReadBytes read, ingest::SourceOptions options, const std::string& directory,
    const std::function<void(const ingest::BadLine&)>& on_bad_line) {
  auto spool = OpenSpool(directory);
  if (!spool) return Failure(true, std::move(spool).error());
  BatchInput input{.file = *std::move(spool)};
  auto source = ingest::LineSource::Open(std::move(read), std::move(options));
  if (!source) return Failure(false, std::move(source).error());
  Appender out(*input.file);
  for (;;) {
    auto item = (*source)->Next();
    if (!item) return Failure(false, std::move(item).error());
    if (!*item) break;
    if (const auto* bad = std::get_if<ingest::BadLine>(&**item)) {
      ++input.bad_lines;
      on_bad_line(*bad);
      continue;
    }
    ++input.lines;
    auto added = out.Add(std::get<ingest::Line>(**item).json);
    if (!added) return Failure(true, std::move(added).error());
  }
  auto flushed = out.Flush();
  if (!flushed) return Failure(true, std::move(flushed).error());
  return input;
}

ingest::ReadBytes ReadStandardInput() {
  return [](char* out, size_t size) -> Result<size_t> {
    for (;;) {
      ssize_t got = ::read(STDIN_FILENO, out, size);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) return std::unexpected(base::ErrnoError(errno, "read standard input"));
    }
  };
}

}  // namespace inferq::app
