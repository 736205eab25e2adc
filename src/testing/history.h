#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "model/task.h"

namespace inferq::testing {

/// What a queue is asked for. A call about several tasks stands as several entries.
enum class Op : uint8_t {
  kSubmit,
  kClaim,
  kStart,
  kRenew,
  kComplete,
  kFail,
  kRelease,
  kCancel,
  kRequeue,
  kEdit,
  kSee,
};
std::string_view OpName(Op op);

/// What Renew tells a worker.
enum class Held : uint8_t { kHeld, kCancelRequested, kLost };

/// One line of a History. Fields that its kind does not name are unset.
struct Entry {
  enum class Kind : uint8_t {
    kCall,     ///< A call reaches the queue.
    kAnswer,   ///< The queue answers. A call without one: its process died first.
    kClaimed,  ///< Part of a claim's answer: one task and its lease.
    kStopped,  ///< The process is gone; what was not answered never will be.
    kOpened,   ///< A process has recovered.
    kClosing,  ///< An orderly end begins: from here on nothing is given out or taken.
    kNote,     ///< For people: a fault, a jump of the clock, a lost message.
  } kind = Kind::kNote;
  Op op = Op::kSee;
  uint64_t call = 0;  ///< kCall, kAnswer, kClaimed: of the same call the same, from 1.
  base::SteadyTime at;
  base::WallTime wall;

  model::TaskId task;
  model::Fence fence;
  std::optional<base::Code> error;     ///< kAnswer: why it was refused; unset: accepted.
  std::vector<model::TaskSpec> specs;  ///< kCall of kSubmit; `payload.blob` names each for good.
  std::vector<model::TaskId> ids;      ///< kAnswer of kSubmit.
  std::string worker;                  ///< kClaimed.
  base::Micros lease{0};               ///< kClaimed, kCall of kRenew.
  uint32_t attempt = 0;                ///< kClaimed: the number that its start will have.
  bool alone = false;                  ///< kClaimed.
  base::WallTime eligible;             ///< kClaimed.
  bool crashed = false;                ///< kCall of kFail.
  model::Extent result;                ///< kCall of kComplete.
  Held held = Held::kHeld;             ///< kAnswer of kRenew.
  std::optional<model::TaskRecord> record;  ///< kAnswer of kSee.
  std::string note;                         ///< kNote.

  /// One line. Equal runs give equal lines.
  std::string ToString() const;
};

/// The one log of a simulated run: every call that reaches the queue, every answer that leaves it,
/// and what happened to its process. What a network loses is not in it: a lost request never
/// reached the queue, and a lost answer was given nevertheless.
class History {
 public:
  explicit History(const base::Clock& clock) : clock_(&clock) {}

  /// Starts a call. @return its number, for the entries that follow.
  uint64_t NewCall() { return ++last_call_; }
  /// Adds a line at the clock's present time.
  void Add(Entry entry);
  void Note(std::string text);

  const std::vector<Entry>& entries() const { return entries_; }
  std::string ToString() const;
  /// The lines about one task, and those about processes.
  std::string About(model::TaskId task) const;

 private:
  const base::Clock* clock_;
  std::vector<Entry> entries_;
  uint64_t last_call_ = 0;
};

}  // namespace inferq::testing
