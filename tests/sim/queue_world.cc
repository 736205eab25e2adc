#include "queue_world.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "queue/local/journal_check.h"
#include "queue/local/sqlite_journal.h"

namespace inferq::queue {

using testing::Entry;

namespace {

constexpr size_t kBreachesShown = 5;

Entry Of(Entry::Kind kind) {
  Entry entry;
  entry.kind = kind;
  return entry;
}

// The lines about the first task that the sentence names.
std::string StoryOf(const testing::History& history, const std::string& breach) {
  size_t at = breach.find("task_");
  if (at == breach.npos) return "";
  auto id = model::ParseTaskId(breach.substr(at, 21));
  return id ? history.About(*id) : "";
}

}  // namespace

QueueWorld::QueueWorld(QueueWorldOptions options)
    : vfs_(disk_, "queue_world"),
      sim_({.seed = options.seed, .max_blocking_delay = options.blocking_delay}),
      history_(sim_.clock()),
      rng_(options.seed),
      options_(std::move(options.queue)) {
  EXPECT_TRUE(disk_.CreateDirectory("/q"));
  disk_.SyncAll();
}

QueueWorld::~QueueWorld() {
  if (queue_) Do(Drop());
}

Awaitable<bool> QueueWorld::Open() {
  auto journal = MakeSqliteJournal({.path = "/q/queue.db", .vfs = vfs_.name()});
  queue_ = MakeLocalQueue(sim_, std::move(journal), options_);
  logged_ = std::make_unique<LoggedQueue>(*queue_, sim_, history_);
  auto opened = co_await queue_->Open();
  if (!opened) {
    history_.Note("cannot open: " + opened.error().ToString());
    // Only a failing disk excuses that.
    EXPECT_NE(opened.error().code(), base::Code::kDataLoss) << opened.error().ToString();
    co_await Drop();
    co_return false;
  }
  history_.Add(Of(Entry::Kind::kOpened));
  serving_ = true;
  co_return true;
}

Awaitable<void> QueueWorld::Kill(testing::CrashMode mode) {
  disk_.CrashAtOperation(disk_.operations() + 1);  // nothing more reaches the disk
  co_await Drop();
  disk_.Crash(rng_, mode);
}

Awaitable<void> QueueWorld::Drain() {
  history_.Add(Of(Entry::Kind::kClosing));
  (void)co_await queue_->Close();
  co_await Drop();
}

Awaitable<void> QueueWorld::Drop() {
  serving_ = false;
  co_await logged_->Idle();
  history_.Add(Of(Entry::Kind::kStopped));
  logged_.reset();
  queue_.reset();
  auto nothing = [] { return true; };
  (void)co_await sim_.RunBlocking(runtime::kJournalLane, nothing);  // its last writes are over
  disk_.FailOperation(UINT64_MAX, testing::DiskFault::kNoSpace);    // disarms
}

std::string QueueWorld::CheckStore() {
  auto check = CheckJournal({.path = "/q/queue.db", .vfs = vfs_.name(), .blob_size = {}});
  if (!check) return check.error().ToString();
  return fmt::format("{}", fmt::join(check->shown, "\n"));
}

std::string QueueWorld::Check(const testing::HistoryRules& rules) {
  testing::FinalState state = Do(LookAtEverything(*queue_));
  std::vector<std::string> breaches = testing::CheckHistory(history_, state, rules);
  std::string text;
  for (size_t i = 0; i < std::min(breaches.size(), kBreachesShown); ++i)
    text += breaches[i] + "\n" + StoryOf(history_, breaches[i]);
  return text;
}

std::vector<uint64_t> SimSeeds(uint64_t usual) {
  if (const char* one = std::getenv("INFERQ_SIM_SEED")) return {std::strtoull(one, nullptr, 10)};
  const char* many = std::getenv("INFERQ_SIM_SEEDS");
  uint64_t count = many ? std::strtoull(many, nullptr, 10) : usual;
  std::vector<uint64_t> seeds;
  for (uint64_t seed = 1; seed <= count; ++seed) seeds.push_back(seed);
  return seeds;
}

}  // namespace inferq::queue
