#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"

namespace inferq::app {

/// One kind of load that phone agents put on a model. An agent runs tasks one after the other; a
/// task is a conversation of several steps, and a step is a request with a screenshot and what was
/// said before.
struct AgentProfile {
  char letter = 'A';
  std::string_view help;
  bool stream = true;
  /// A person's phone: a probe before each task, and pauses between steps. False: one request
  /// after the other, each a task.
  bool phone = true;
  uint32_t copies = 1;  ///< Of each request, at once; a step waits for all of them.
  uint32_t images_min = 1, images_max = 1;  ///< In each request.
  uint32_t distinct = 0;                    ///< So many different bodies, repeated; 0: all are new.
  uint32_t text_tokens = 0;                 ///< Beside what every request has.
};

/// 'A' fleet, 'B' replay, 'C' vote, 'D' judge, 'E' text only. nullptr: no such profile.
const AgentProfile* FindAgentProfile(char letter);

/// How many steps tasks have.
enum class StepMix : uint8_t {
  kRecipe,  ///< 5 (87 %) or 6.
  kOpen,    ///< Log-normal, median 8, 95th percentile 25, at most 100.
};

uint32_t DrawSteps(StepMix mix, base::Rng& rng);
/// What a phone and its user take between two steps.
base::Micros DrawThinkTime(base::Rng& rng);
/// Of an answer; at least 1.
uint64_t DrawOutputTokens(const AgentProfile& profile, base::Rng& rng);

/// A model's answer of `tokens` tokens, or its tokens in [from, to).
std::string AgentAnswerText(uint64_t tokens, uint64_t from, uint64_t to);
/// Whether nothing of an answer is missing, and nothing is in it twice.
bool IsWholeAgentAnswer(std::string_view text);

/// The requests of one task, as the client words them: `messages` first, `model` and `stream` last,
/// one screenshot, which later steps no longer show.
class AgentConversation {
 public:
  /// @param number  of the task; others with the same number have the same bodies.
  /// @param model   as clients name it.
  AgentConversation(const AgentProfile& profile, uint64_t number, std::string_view model);

  /// Of the coming step.
  std::string Body() const;
  /// What the model said; the next step is another one.
  void Answered(std::string_view text);
  /// What a client sends when it starts: a word, and few tokens.
  static std::string ProbeBody(std::string_view model);

 private:
  std::string UserText() const;
  void AppendUser(std::string& out) const;
  uint32_t Images() const;

  const AgentProfile& profile_;
  const uint64_t number_;
  const std::string model_;
  std::string history_;  // messages that have been answered, each with a comma behind it
  uint32_t step_ = 0;
};

}  // namespace inferq::app
