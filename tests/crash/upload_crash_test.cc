// Files that come in parts, on a disk that loses what was not synced: the power goes at every
// operation of creating an upload, its parts and their joining in turn. What was acknowledged is
// there afterwards, the file is made once, and nothing is left over.

#include <gtest/gtest.h>

#include "service/testing/serve_world.h"

namespace inferq::service {
namespace {

using inferq::testing::CrashMode;
using inferq::testing::SimDisk;
using testing::Process;

constexpr const char* kPieces[] = {"hello ", "world"};
constexpr const char* kWhole = "hello world";

const Caller kCaller{.tenant = "a", .request_id = {}, .traceparent = {}};

// What a client knows.
struct Ledger {
  std::string upload;
  std::vector<std::string> parts;
  std::string file;
};

Awaitable<base::Result<PartView>> SendPart(Process* process, std::string id, std::string bytes) {
  INFERQ_CO_ASSIGN(auto upload, co_await process->service().BeginUpload(kCaller));
  INFERQ_CO_TRY(co_await upload->Append(process->sim(), std::move(bytes)));
  co_return co_await process->service().FinishPart(kCaller, std::move(id), std::move(upload));
}

base::Result<> CreateUpload(Process& process, Ledger& ledger) {
  if (!ledger.upload.empty()) return {};
  NewUpload upload{.filename = "a.txt",
                   .purpose = "user_data",
                   .mime_type = "text/plain",
                   .bytes = std::string_view(kWhole).size(),
                   .expires_after = {}};
  INFERQ_ASSIGN(auto view, process.Do(process.service().CreateUpload(kCaller, upload)));
  ledger.upload = view.record.id;
  return {};
}

// Does what is left to do, as a client that asks again.
base::Result<> DoTheRest(Process& process, Ledger& ledger) {
  if (!process.Start()) return base::Fail(base::Code::kUnavailable, "it does not start");
  INFERQ_TRY(CreateUpload(process, ledger));
  while (ledger.parts.size() < std::size(kPieces)) {
    INFERQ_ASSIGN(PartView part,
                  process.Do(SendPart(&process, ledger.upload, kPieces[ledger.parts.size()])));
    ledger.parts.push_back(part.id);
  }
  UploadCompletion call{.part_ids = ledger.parts, .md5 = {}};
  INFERQ_ASSIGN(auto done,
                process.Do(process.service().CompleteUpload(kCaller, ledger.upload, call)));
  ledger.file = done.file.value().id;
  return {};
}

void Check(SimDisk& disk, Process& process, const Ledger& ledger) {
  auto read = process.ReadFile(kCaller, ledger.file);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(*read, kWhole);
  auto files = process.Do(process.service().ListFiles(kCaller, {}));
  ASSERT_TRUE(files);
  EXPECT_EQ(files->records.size(), 1u) << "the file is made once";
  size_t blobs = 0;
  for (const std::string& name : disk.List("/data/blobs").value()) {
    if (name.ends_with(".blob") || name.ends_with(".part")) ++blobs;
  }
  EXPECT_EQ(blobs, 1u) << "no part is left over";
}

void CrashEverywhere(CrashMode mode) {
  for (uint64_t n = 1;; ++n) {
    SCOPED_TRACE(fmt::format("power cut at operation {}", n));
    SimDisk disk;
    base::Rng rng(n);
    Ledger ledger;
    disk.CrashAtOperation(n);
    bool crashed = false;
    {
      Process process(disk, {.seed = n});
      (void)DoTheRest(process, ledger);
      crashed = disk.crashed();
    }
    if (!crashed) {
      EXPECT_GT(n, 40u) << "the history is too short to be one";
      return;
    }
    disk.Crash(rng, mode);
    Process process(disk, {.seed = n + 1'000'000});
    auto done = DoTheRest(process, ledger);
    ASSERT_TRUE(done) << done.error().ToString();
    ASSERT_TRUE(process.Stop());
    Process last(disk, {.seed = n + 2'000'000});
    ASSERT_TRUE(last.Start());
    ASSERT_NO_FATAL_FAILURE(Check(disk, last, ledger));
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(UploadCrash, NothingIsLostWhenUnsyncedBytesAre) { CrashEverywhere(CrashMode::kStrict); }
TEST(UploadCrash, NothingIsLostWhenUnsyncedBytesAreTorn) { CrashEverywhere(CrashMode::kRandom); }

}  // namespace
}  // namespace inferq::service
