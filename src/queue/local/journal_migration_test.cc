// Stores of earlier versions, kept as SQL text in testdata/: each is brought to the version of today
// and shows what it showed when it was written. How to add one: src/queue/README.md.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "queue/local/sqlite_journal.h"
#include "sqlite/database.h"

namespace inferq::queue {
namespace {

using model::State;
using model::TaskId;

constexpr int kSamples = 1;
constexpr const char* kTestData = "src/queue/local/testdata/";

base::WallTime At(int64_t micros) { return base::WallTime(base::Micros(micros)); }

// ---- A store in words. A field that a version adds shows only where it is set, so that what
// ---- earlier versions said stays true.

std::string Show(const model::Extent& extent) {
  return fmt::format("{}:{}+{}", extent.blob, extent.offset, extent.length);
}

std::string Show(std::string_view name, const std::optional<base::WallTime>& time) {
  return time ? fmt::format(" {}={}", name, time->time_since_epoch().count()) : "";
}

std::string Show(const SpecRow& row) {
  const model::TaskSpec& s = row.spec;
  std::string text = fmt::format(
      "{} tenant={} lane={} key={} hash={:x} priority={}{}{}{} policy={} batch={} line={} "
      "payload={} cost={} attempts<={} trace={} submitted={} locality={:x},{:x},{:x},{:x} parents=",
      ToString(row.id), s.tenant, s.lane, s.idempotency_key, s.content_hash, s.priority,
      Show("not_before", s.not_before), Show("deadline", s.deadline),
      Show("expires_at", s.expires_at), static_cast<int>(s.parent_policy), s.batch.value, s.line,
      Show(s.payload), s.cost, s.max_attempts, s.traceparent,
      row.submitted.time_since_epoch().count(), s.locality[0], s.locality[1], s.locality[2],
      s.locality[3]);
  for (TaskId parent : s.parents) text += ToString(parent) + ",";
  return text;
}

std::string Show(const StateRow& row) {
  return fmt::format(
      "  {} version={} generation={} fence={:x} attempts={} crashes={} suspect={} eligible={}{} "
      "code={} message={} result={} finish={}",
      StateName(row.state), row.version, row.generation, row.fence.value, row.attempts, row.crashes,
      row.suspect, row.eligible.time_since_epoch().count(), Show("retry_at", row.retry_at),
      static_cast<int>(row.outcome.code), row.outcome.message, Show(row.outcome.result),
      row.finish_sequence);
}

// What a store shows at its opening.
class Words {
 public:
  RecoveryVisitor Visitor() {
    return {.on_task =
                [this](SpecRow spec, StateRow state, std::string checkpoint) {
                  Add(Show(spec));
                  Add(Show(state));
                  if (!checkpoint.empty()) Add("  checkpoint " + checkpoint);
                },
            .on_key =
                [this](KeyRow row) {
                  Add(fmt::format("key {}/{} {} {:x} {}", row.tenant, row.key, ToString(row.id),
                                  row.content_hash, row.created.time_since_epoch().count()));
                },
            .on_tenant_time =
                [this](TenantTime row) {
                  Add(fmt::format("time {} {}", row.tenant, row.virtual_time));
                },
            .on_meta =
                [this](Meta row) {
                  Add(fmt::format("meta {} {} {} {}", row.incarnation, row.last_task,
                                  row.last_batch, row.last_finish));
                }};
  }
  const std::string& text() const { return text_; }

 private:
  void Add(const std::string& line) { text_ += line + "\n"; }
  std::string text_;
};

// ---- One of everything that the version of today stores.

void AddTask(ChangeSet& changes, uint64_t number, State state) {
  TaskId id = model::MakeTaskId(0, number);
  bool ended = IsTerminal(state);
  SpecRow& spec = changes.specs.emplace_back();
  spec.id = id;
  spec.spec.tenant = number % 2 == 0 ? "acme" : "default";
  spec.spec.lane = "glm-4";
  spec.spec.priority = static_cast<int>(number) - 4;
  spec.spec.payload = {3, number * 100, 100};
  spec.spec.cost = 10 + number;
  spec.spec.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  spec.submitted = At(1'790'000'000'000'000 + static_cast<int64_t>(number));
  StateRow& row = changes.states.emplace_back();
  row.id = id;
  row.state = state;
  row.version = number;
  row.eligible = spec.submitted;
  row.fence = model::MakeFence(2, static_cast<uint32_t>(number));
  row.attempts = state == State::kRunning || ended ? 1 : 0;
  row.finish_sequence = ended ? number : 0;
  if (state == State::kSucceeded) row.outcome = {base::Code::kInternal, "", {7, number * 10, 9}};
  if (state == State::kFailed) row.outcome = {base::Code::kUnavailable, "it went \"away\"", {}};
}

ChangeSet Sample() {
  ChangeSet changes;
  for (uint64_t i = 0; i < model::kStateCount; ++i) {
    AddTask(changes, i + 1, static_cast<State>(i));
  }
  SpecRow& blocked = changes.specs[0];
  blocked.spec.parents = {TaskId{3}, TaskId{5}};
  blocked.spec.parent_policy = model::ParentPolicy::kAllTerminal;
  blocked.spec.not_before = At(1'790'000'001'000'000);
  blocked.spec.deadline = At(1'790'000'002'000'000);
  blocked.spec.expires_at = At(1'790'000'003'000'000);
  blocked.spec.locality = {1, 2, 3, 4};
  changes.states[0].retry_at = At(1'790'000'004'000'000);
  changes.states[0].crashes = 2;
  changes.states[0].suspect = true;
  changes.states[4].generation = 1;
  changes.specs[1].spec.idempotency_key = "order-17";
  changes.specs[1].spec.content_hash = 0xfeed;
  changes.specs[2].spec.batch = model::BatchId{9};
  changes.specs[2].spec.line = 41;
  changes.keys.push_back({"acme", "order-17", TaskId{2}, 0xfeed, At(1'790'000'000'000'002)});
  changes.checkpoints.push_back({TaskId{4}, "half way"});
  changes.tenant_times = {{"acme", 0.1}, {"default", 1234.5}};
  changes.meta = Meta{.incarnation = 3, .last_task = 8, .last_batch = 9, .last_finish = 8};
  return changes;
}

std::string FileOf(const std::string& name) {
  return base::ReadFile(base::PosixFileSystem(), name).value_or("cannot read " + name);
}

class JournalMigrationTest : public ::testing::Test {
 protected:
  JournalMigrationTest() {
    directory_ =
        (getenv("TMPDIR") ? std::string(getenv("TMPDIR")) : "/tmp") + "/inferq_migrate_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/queue.db";
  }
  ~JournalMigrationTest() override {
    EXPECT_TRUE(base::RemoveTree(base::PosixFileSystem(), directory_));
  }
  // What the store shows; the journal stays shut.
  std::string Open() {
    Words words;
    auto journal = MakeSqliteJournal({.path = path_, .vfs = ""});
    auto opened = journal->Open(words.Visitor());
    EXPECT_TRUE(opened) << opened.error().ToString();
    return words.text();
  }

  std::string directory_;
  std::string path_;
};

// With INFERQ_SAMPLE=FILE it leaves the store there, to be kept as the sample of this version.
TEST_F(JournalMigrationTest, TheSampleOfTodayIsStored) {
  if (const char* kept = getenv("INFERQ_SAMPLE")) path_ = kept;
  auto journal = MakeSqliteJournal({.path = path_, .vfs = ""});
  ASSERT_TRUE(journal->Open(Words().Visitor()));
  ASSERT_TRUE(journal->Commit(Sample()));
  ASSERT_TRUE(journal->Close());
  std::string words = Open();
  EXPECT_THAT(words, ::testing::HasSubstr("half way"));
  if (getenv("INFERQ_SAMPLE") != nullptr) fmt::print("{}", words);
}

TEST_F(JournalMigrationTest, EveryEarlierVersionShowsWhatItStored) {
  for (int version = 1; version <= kSamples; ++version) {
    SCOPED_TRACE(version);
    std::string name = fmt::format("{}journal_v{}", kTestData, version);
    {
      sqlite::Database db;
      ASSERT_TRUE(db.Open(path_, ""));
      ASSERT_TRUE(db.Exec(FileOf(name + ".sql").c_str()));
    }
    EXPECT_EQ(Open(), FileOf(name + ".txt"));
    ASSERT_TRUE(base::PosixFileSystem().Remove(path_));
  }
}

}  // namespace
}  // namespace inferq::queue
