#include "app/batch_follow.h"

#include <algorithm>
#include <charconv>
#include <expected>
#include <functional>
#include <vector>

#include "app/batch_view.h"
#include "app/batch_wait.h"
#include "service/run_output.h"

namespace inferq::app {

using namespace std::chrono_literals;
using base::Micros;
using base::Result;
using runtime::Awaitable;

namespace {

constexpr Micros kFirstPause = 200ms;
constexpr Micros kLongestPause = 2s;

/// Where the lines of one kind go, and how far they came. Blocks; one thread at a time.
class Target {
 public:
  Target(std::string status, std::string path, const std::string& id)
      : status_(std::move(status)), path_(std::move(path)), mark_(path_ + "." + id + ".offset") {}

  const std::string& status() const { return status_; }
  const std::string& after() const { return after_; }
  bool ended() const { return ended_; }

  /// Goes on where an earlier run stopped; else begins the file anew.
  Result<> Open() {
    if (path_ == "-") return {};
    INFERQ_ASSIGN(file_, base::PosixFileSystem().Open(path_, base::OpenMode::kShared));
    if (auto mark = base::ReadFile(base::PosixFileSystem(), mark_)) TakeMark(*mark);
    INFERQ_ASSIGN(uint64_t there, file_->Size());
    if (there < size_) {  // it is not the file that it was
      size_ = 0;
      after_.clear();
    }
    return file_->Truncate(size_);
  }

  Result<> Take(const client::Results& results) {
    if (!file_) INFERQ_TRY(Print(results.lines));
    if (file_ && !results.lines.empty()) {
      INFERQ_TRY(file_->WriteAt(size_, results.lines));
      INFERQ_TRY(file_->Sync());
      size_ += results.lines.size();
      INFERQ_TRY(base::WriteFileAtomically(base::PosixFileSystem(), mark_,
                                           fmt::format("{} {}\n", size_, results.next)));
    }
    after_ = results.next;
    ended_ = !results.has_more;
    return {};
  }

  /// The batch has ended: the mark goes, and the file where nothing came.
  Result<> Close() {
    if (!file_) return {};
    auto gone = base::PosixFileSystem().Remove(mark_);
    if (!gone && gone.error().code() != base::Code::kNotFound) return gone;
    return size_ > 0 ? Result<>() : base::PosixFileSystem().Remove(path_);
  }

 private:
  // "<bytes> <offset>\n"
  void TakeMark(const std::string& mark) {
    size_t space = mark.find(' ');
    uint64_t size = 0;
    auto [end, error] = std::from_chars(mark.data(), mark.data() + mark.size(), size);
    bool proper = error == std::errc{} && space != mark.npos && end == mark.data() + space &&
                  mark.ends_with('\n');
    if (!proper) return;
    size_ = size;
    after_ = mark.substr(space + 1, mark.size() - space - 2);
  }

  const std::string status_;
  const std::string path_;
  const std::string mark_;
  std::unique_ptr<base::File> file_;
  uint64_t size_ = 0;
  std::string after_;
  bool ended_ = false;
};

using Targets = std::vector<std::shared_ptr<Target>>;

Targets MakeTargets(const std::string& id, const std::string& output, std::string errors) {
  if (errors.empty() && output != "-") errors = service::ErrorsPathOf(output);
  Targets targets{std::make_shared<Target>("succeeded", output, id)};
  if (!errors.empty()) targets.push_back(std::make_shared<Target>("failed", errors, id));
  return targets;
}

Awaitable<Result<>> OnDisk(ClientSession& session, std::function<Result<>()> work) {
  co_return co_await session.runtime().RunBlocking(runtime::kAnyLane, std::move(work));
}

/// What there is now, of each kind. @return whether anything came, or the code of a failure.
Awaitable<std::expected<bool, int>> TakeNews(ClientSession& session, std::string id,
                                             Targets targets) {
  bool news = false;
  for (auto& target : targets) {
    if (target->ended()) continue;
    auto results = co_await session.client().ReadResults(id, target->after(), target->status());
    if (!results) co_return std::unexpected(session.Refused(results.error()));
    news |= !results->lines.empty();
    auto take = [target, results = *std::move(results)] { return target->Take(results); };
    auto taken = co_await OnDisk(session, std::move(take));
    if (!taken) co_return std::unexpected(session.StorageFailed(taken.error()));
  }
  co_return news;
}

int Stop(ClientSession& session, int code, bool kept) {
  if (code == kInterrupted) session.display().Say("interrupted; the batch goes on at the server");
  if (kept) session.display().Say("what has come is kept: the same command goes on with it");
  return code;
}

}  // namespace

Awaitable<int> FollowResults(ClientSession& session, std::string id, std::string output,
                             std::string errors) {
  Targets targets = MakeTargets(id, output, std::move(errors));
  bool kept = output != "-";
  if (auto known = co_await session.client().GetBatch(id); !known)
    co_return session.Refused(known.error());  // before a file of this name is cut
  for (auto& target : targets) {
    auto opened = co_await OnDisk(session, [target] { return target->Open(); });
    if (!opened) co_return session.StorageFailed(opened.error());
  }
  base::SteadyTime begun = session.runtime().clock().Steady();
  std::optional<uint64_t> ended_before;
  for (Micros pause = kFirstPause;; pause = std::min(pause * 3 / 2, kLongestPause)) {
    auto news = co_await TakeNews(session, id, targets);
    if (!news) co_return Stop(session, news.error(), kept);
    auto batch = co_await session.client().GetBatch(id);
    if (!batch) co_return Stop(session, session.Refused(batch.error()), kept);
    if (!ended_before) ended_before = batch->counts.ended();
    Micros waited = session.runtime().clock().Steady() - begun;
    session.Show(BatchProgressView(*batch, *ended_before, waited));
    if (std::ranges::all_of(targets, &Target::ended)) {
      for (auto& target : targets) {
        auto closed = co_await OnDisk(session, [target] { return target->Close(); });
        if (!closed) co_return session.StorageFailed(closed.error());
      }
      int code = ExitCodeOf(*batch);
      session.display().Finish(BatchSummaryText(*batch), BatchSummaryJson(*batch), code == kOk);
      co_return code;
    }
    if (*news) pause = kFirstPause;
    if (!co_await session.client().Pause(pause)) co_return Stop(session, kInterrupted, kept);
  }
}

}  // namespace inferq::app
