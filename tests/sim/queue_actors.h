#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "queue_world.h"

namespace inferq::queue {

/// Which faults a run has, drawn from its seed.
struct Faults {
  explicit Faults(base::Rng& rng);
  double lost_request = 0;
  double lost_answer = 0;
  double twice = 0;
  base::Micros delay{0};
  bool power_cuts = false;
  bool torn = false;  ///< Else a power cut loses all that is not synced.
  bool kills = false;
  bool disk_faults = false;
  bool drains = false;
  bool clock_jumps = false;
  bool bad_workers = false;  ///< They die, sleep, forget.
  bool failing_work = false;
  bool poison = false;
  base::Micros slow_disk{0};
};

/// One run: see queue_sim_test.cc.
class QueueSimulation {
 public:
  /// @param naive  with the scheduler that looks at everything.
  explicit QueueSimulation(uint64_t seed, bool naive = false);

  /// Trouble first, then calm. @return whether all work ended.
  bool RunToEnd();
  /// Every broken promise; "" when there is none.
  std::string Check();
  std::string Log() { return world_.history().ToString(); }

 private:
  static constexpr base::Micros kPatience{6'000'000};    // for an answer
  static constexpr base::Micros kCalmWait{120'000'000};  // of a claim, when nothing is wrong
  template <class T>
  using Call = std::function<Awaitable<T>(LoggedQueue&)>;
  template <class T>
  struct Exchange {
    explicit Exchange(runtime::Runtime& runtime) : arrived(runtime) {}
    runtime::Event arrived;
    std::optional<T> answer;
  };
  static QueueWorldOptions WorldOptions(uint64_t seed, base::Micros slow_disk, bool naive);

  // The network (queue_network.h). nullopt: no answer came in time.
  enum class Repeat : uint8_t { kHarmless, kForbidden };
  template <class T>
  Awaitable<std::optional<T>> Ask(Call<T> call, Repeat repeat = Repeat::kHarmless);
  template <class T>
  Awaitable<void> Carry(std::shared_ptr<Exchange<T>> exchange, Call<T> call);

  base::Micros Patience() const { return calm_ ? kCalmWait + kPatience : kPatience; }

  // Clients.
  Awaitable<void> Client();
  Awaitable<void> Submit();
  Awaitable<bool> SubmitOnce(std::vector<model::TaskSpec> specs, bool keyed);
  model::TaskSpec Spec(const std::string& tenant, bool keyed);
  void AddParents(std::vector<model::TaskSpec>& specs, size_t index);
  void AddTimes(model::TaskSpec& spec);
  Awaitable<void> ChangeSomething();

  // Workers.
  Awaitable<void> Worker(std::string name);
  Awaitable<void> WorkOnAll(std::vector<ClaimedTask> tasks, base::Micros lease);
  Awaitable<void> CrashWith(std::vector<ClaimedTask> tasks);
  Awaitable<void> Work(ClaimedTask task, base::Micros lease);
  Awaitable<bool> RunIt(TaskRef ref, base::Micros lease);
  Awaitable<void> EndIt(TaskRef ref, base::Micros lease);
  Awaitable<void> Complete(TaskRef ref, int times);
  Awaitable<void> FailIt(TaskRef ref, bool retryable, bool crashed);

  // What goes wrong.
  Awaitable<void> Director();
  Awaitable<void> Trouble();
  void FailDiskSoon();
  testing::CrashMode PowerCut() const {
    return faults_.torn ? testing::CrashMode::kRandom : testing::CrashMode::kStrict;
  }
  Awaitable<void> Recover();
  Awaitable<void> WatchOver();

  void Spawn(Awaitable<void> actor);
  Awaitable<void> Count(Awaitable<void> actor);
  Awaitable<void> Sleep(base::Micros most);
  bool AllEnded();
  bool IsPoison(const model::TaskSpec& spec) const { return poisoned_.contains(spec.payload.blob); }
  model::TaskId AnyTask();

  base::Rng rng_;
  Faults faults_;
  QueueWorld world_;
  const size_t wanted_;
  size_t submissions_ = 0;
  bool calm_ = false;
  bool over_ = false;
  bool restarting_ = false;
  size_t actors_ = 0;
  size_t clients_ = 0;
  uint64_t labels_ = 0;
  uint64_t keys_ = 0;
  uint64_t results_ = 0;
  std::set<uint64_t> poisoned_;
  std::vector<std::pair<model::TaskId, std::string>> known_;  // with tenant
};

}  // namespace inferq::queue
