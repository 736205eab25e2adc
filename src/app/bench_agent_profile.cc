#include "app/bench_agent_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <numbers>

#include "wire/json.h"

namespace inferq::app {
namespace {

constexpr std::array kProfiles = {
    AgentProfile{.letter = 'A', .help = "a fleet of phones"},
    AgentProfile{.letter = 'B',
                 .help = "recorded requests again and again",
                 .stream = false,
                 .phone = false,
                 .distinct = 20},
    AgentProfile{.letter = 'C', .help = "phones that ask three times at once", .copies = 3},
    AgentProfile{.letter = 'D',
                 .help = "a judge over whole tasks",
                 .stream = false,
                 .phone = false,
                 .images_min = 1,
                 .images_max = 6,
                 .text_tokens = 1500},
    AgentProfile{.letter = 'E', .help = "phones without images", .images_min = 0, .images_max = 0},
};

constexpr size_t kBytesPerToken = 4;
constexpr size_t kSystemTokens = 1960;
constexpr size_t kImageBytes = 1'220'000;  // base64 of a screenshot of 1080 x 2400

// The word of every token but the last, which says how many there are.
constexpr std::string_view kWord = "go ";
constexpr std::string_view kEnd = "do(n=";

double DrawNormal(base::Rng& rng) {  // Box and Muller
  double radius = std::sqrt(-2 * std::log(1 - rng.Uniform()));
  return radius * std::cos(2 * std::numbers::pi * rng.Uniform());
}

double DrawLogNormal(double median, double sigma, base::Rng& rng) {
  return median * std::exp(sigma * DrawNormal(rng));
}

const std::string& SystemPrompt() {
  static const std::string text = [] {
    std::string made = "You drive a phone. ";
    while (made.size() < kSystemTokens * kBytesPerToken) made += "Look, then do one thing. ";
    return made;
  }();
  return text;
}

// What all screenshots have in common; each begins with digits of its own.
const std::string& ImageRest() {
  static const std::string text = [] {
    static constexpr std::string_view kDigits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    base::Rng rng(1);
    std::string made(kImageBytes - 16, 'A');
    std::ranges::generate(made, [&rng] { return kDigits[rng.Below(kDigits.size())]; });
    return made;
  }();
  return text;
}

}  // namespace

const AgentProfile* FindAgentProfile(char letter) {
  auto found = std::ranges::find(kProfiles, letter, &AgentProfile::letter);
  return found == kProfiles.end() ? nullptr : &*found;
}

uint32_t DrawSteps(StepMix mix, base::Rng& rng) {
  if (mix == StepMix::kRecipe) return rng.Chance(0.87) ? 5 : 6;
  constexpr double kSigma = 0.6927;  // ln(25 / 8) / 1.645
  return static_cast<uint32_t>(std::clamp(std::ceil(DrawLogNormal(8, kSigma, rng)), 1.0, 100.0));
}

base::Micros DrawThinkTime(base::Rng& rng) {
  double seconds = 2 + 3 * rng.Uniform();
  if (rng.Chance(0.15)) seconds += 4;  // something is typed
  return base::Micros(std::llround(seconds * 1e6));
}

uint64_t DrawOutputTokens(const AgentProfile& profile, base::Rng& rng) {
  if (profile.letter == 'D') return 150 + rng.Below(151);
  if (profile.letter == 'E') return 100;
  constexpr double kSigma = 0.4067;  // median 95, 90th percentile 160
  constexpr uint64_t kRunaway = 3000;
  if (rng.Chance(0.01)) return kRunaway;
  auto tokens = static_cast<uint64_t>(std::llround(DrawLogNormal(95, kSigma, rng)));
  return std::clamp<uint64_t>(tokens, 1, kRunaway);
}

std::string AgentAnswerText(uint64_t tokens, uint64_t from, uint64_t to) {
  std::string text;
  for (uint64_t i = from; i < std::min(to, tokens - 1); ++i) text += kWord;
  if (to >= tokens && from < tokens) text += fmt::format("{}{})", kEnd, tokens);
  return text;
}

bool IsWholeAgentAnswer(std::string_view text) {
  uint64_t words = 0;
  for (; text.starts_with(kWord); text.remove_prefix(kWord.size())) ++words;
  return text == fmt::format("{}{})", kEnd, words + 1);
}

AgentConversation::AgentConversation(const AgentProfile& profile, uint64_t number,
                                     std::string_view model)
    : profile_(profile), number_(number), model_(model) {}

uint32_t AgentConversation::Images() const {
  uint32_t range = profile_.images_max - profile_.images_min + 1;
  return profile_.images_min + static_cast<uint32_t>(number_ % range);
}

std::string AgentConversation::UserText() const {
  if (step_ > 0) return R"(** Screen Info **\n\n{\"current_app\": \"Settings\"})";
  std::string text = fmt::format(
      R"(Task {}: open the settings and look.\n\n{{\"current_app\": \"Home\"}})", number_);
  return text.append(profile_.text_tokens * kBytesPerToken, '.');
}

void AgentConversation::AppendUser(std::string& out) const {
  out += R"({"role":"user","content":[)";
  for (uint32_t i = 0; i < Images(); ++i) {
    fmt::format_to(
        std::back_inserter(out),
        R"({{"type":"image_url","image_url":{{"url":"data:image/png;base64,{:010}{:03}{:03}{}"}}}},)",
        number_, step_, i, ImageRest());
  }
  out.append(R"({"type":"text","text":")").append(UserText()).append(R"("}]})");
}

std::string AgentConversation::Body() const {
  std::string out;
  out.reserve(Images() * kImageBytes + history_.size() + 3 * kSystemTokens * kBytesPerToken);
  out.append(R"({"messages":[{"role":"system","content":")").append(SystemPrompt());
  out.append(R"("},)").append(history_);
  AppendUser(out);
  out += R"(],"max_tokens":3000,"temperature":0.0,"top_p":0.85,"frequency_penalty":0.2,"model":)";
  wire::AppendJsonString(out, model_);
  out.append(profile_.stream ? R"(,"stream":true})" : "}");
  return out;
}

void AgentConversation::Answered(std::string_view text) {
  history_ += R"({"role":"user","content":[{"type":"text","text":")";
  history_.append(UserText()).append(R"("}]},{"role":"assistant","content":)");
  wire::AppendJsonString(history_, text);
  history_ += "},";
  ++step_;
}

std::string AgentConversation::ProbeBody(std::string_view model) {
  return fmt::format(
      R"({{"messages":[{{"role":"user","content":"Hi"}}],"max_tokens":5,"temperature":0.0,"model":{}}})",
      wire::JsonString(model));
}

}  // namespace inferq::app
