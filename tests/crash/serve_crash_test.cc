// The service over a disk that loses what was not synced: the power goes at every operation of
// upload, create, validate, run and finalize in turn. Whatever was acknowledged must be there
// afterwards, each line exactly once, the end told to its webhook, and nothing left over.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "blob/dir_blob_store.h"
#include "service/testing/serve_world.h"

namespace inferq::service {
namespace {

using inferq::testing::CrashMode;
using inferq::testing::SimDisk;
using testing::ChatLine;
using testing::ChatLines;
using testing::Process;

constexpr int kLines = 6;

// What a client knows.
struct Ledger {
  std::optional<std::string> file;
  std::optional<std::string> batch;
  std::optional<BatchView> finished;
  std::set<std::string> told;  // ids of events
};

Awaitable<base::Result<int>> Told(std::set<std::string>* told, std::string id) {
  told->insert(std::move(id));
  co_return 200;
}

// With a webhook that notes what it is told.
Process::Options Options(uint64_t seed, Ledger& ledger) {
  Process::Options options{.seed = seed};
  options.adjust = [](ServiceOptions& service) {
    service.webhooks.endpoints = {{.url = "https://a.example/",
                                   .tenant = "",
                                   .events = {model::BatchStatus::kCompleted},
                                   .secret = "whsec_x"}};
  };
  options.post_webhook = [told = &ledger.told](runtime::Runtime&) -> PostWebhook {
    return [told](const WebhookCall& call) { return Told(told, call.id); };
  };
  return options;
}

// Does what is left to do. @return false when the service went away.
bool DoTheRest(Process& process, Ledger& ledger) {
  Caller caller{.tenant = "a", .request_id = {}, .traceparent = {}};
  if (!process.Start()) return false;
  if (!ledger.file) {
    auto file = process.UploadText(caller, ChatLines(kLines));
    if (!file) return false;
    ledger.file = file->id;
  }
  if (!ledger.batch) {
    NewBatch wanted{.input_file_id = *ledger.file,
                    .endpoint = "/v1/chat/completions",
                    .completion_window = "24h",
                    .metadata = {},
                    .output_expires_after = {},
                    .idempotency_key = "k",
                    .content_hash = 1};
    auto batch = process.Do(process.service().CreateBatch(caller, std::move(wanted)));
    if (!batch) return false;
    ledger.batch = batch->record.id;
  }
  auto ended = process.AwaitBatch(caller, *ledger.batch);
  if (!ended) return false;
  ledger.finished = *ended;
  return true;
}

void CheckFinished(Process& process, const Ledger& ledger) {
  Caller caller{.tenant = "a", .request_id = {}, .traceparent = {}};
  auto all = process.Do(process.service().ListBatches(caller, "", 20));
  ASSERT_TRUE(all);
  EXPECT_EQ(all->records.size(), 1u) << "a lost answer makes no second batch";
  auto view = process.Do(process.service().GetBatch(caller, *ledger.batch));
  ASSERT_TRUE(view) << view.error().message();
  EXPECT_EQ(view->record.status, model::BatchStatus::kCompleted);
  EXPECT_EQ(view->total, static_cast<uint64_t>(kLines));
  EXPECT_EQ(view->succeeded + view->failed, static_cast<uint64_t>(kLines));
  auto counts = process.CountLines(caller, *view);
  ASSERT_TRUE(counts) << counts.error().message();
  EXPECT_EQ(counts->size(), static_cast<size_t>(kLines));
  for (auto& [id, count] : *counts) EXPECT_EQ(count, 1) << id;
  auto input = process.ReadFile(caller, *ledger.file);
  ASSERT_TRUE(input) << input.error().message();
  EXPECT_EQ(*input, ChatLines(kLines));
  process.sim().RunFor(std::chrono::seconds(10));
  EXPECT_EQ(ledger.told, std::set{wire::EventId(*ledger.batch)});
}

// Every sealed blob belongs to a file that a tenant can see. @return how many files there are.
void CheckNothingLeftOver(SimDisk& disk, Process& process) {
  Caller caller{.tenant = "a", .request_id = {}, .traceparent = {}};
  auto files = process.Do(process.service().ListFiles(caller, {}));
  ASSERT_TRUE(files);
  size_t blobs = 0;
  for (const std::string& name : disk.List("/data/blobs").value()) {
    if (name.ends_with(".blob") || name.ends_with(".part")) ++blobs;
  }
  EXPECT_EQ(blobs, files->records.size());
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
      Process process(disk, Options(n, ledger));
      DoTheRest(process, ledger);
      crashed = disk.crashed();
    }
    if (!crashed) {
      EXPECT_GT(n, 50u) << "the history is too short to be one";
      return;
    }
    disk.Crash(rng, mode);
    Process process(disk, Options(n + 1'000'000, ledger));
    ASSERT_TRUE(DoTheRest(process, ledger));
    ASSERT_NO_FATAL_FAILURE(CheckFinished(process, ledger));
    ASSERT_TRUE(process.Stop());
    Process last(disk, Options(n + 2'000'000, ledger));  // collects what the crash left
    ASSERT_TRUE(last.Start());
    ASSERT_NO_FATAL_FAILURE(CheckFinished(last, ledger));
    ASSERT_NO_FATAL_FAILURE(CheckNothingLeftOver(disk, last));
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(ServeCrash, NothingIsLostWhenUnsyncedBytesAre) { CrashEverywhere(CrashMode::kStrict); }
TEST(ServeCrash, NothingIsLostWhenUnsyncedBytesAreTorn) { CrashEverywhere(CrashMode::kRandom); }

}  // namespace
}  // namespace inferq::service
