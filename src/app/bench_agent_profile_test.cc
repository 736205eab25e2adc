#include "app/bench_agent_profile.h"

#include <gmock/gmock.h>

#include <map>

#include "wire/json.h"

namespace inferq::app {
namespace {

using testing::AllOf;
using testing::Gt;
using testing::Lt;

constexpr int kDraws = 20'000;

TEST(AgentProfile, LettersAreThoseOfTheFive) {
  for (char letter : std::string("ABCDE")) {
    ASSERT_NE(FindAgentProfile(letter), nullptr) << letter;
    EXPECT_EQ(FindAgentProfile(letter)->letter, letter);
  }
  EXPECT_EQ(FindAgentProfile('F'), nullptr);
}

TEST(AgentProfile, TasksAreAsLongAsTheirMixSays) {
  base::Rng rng(1);
  std::map<uint32_t, int> recipe;
  std::vector<uint32_t> open;
  for (int i = 0; i < kDraws; ++i) {
    ++recipe[DrawSteps(StepMix::kRecipe, rng)];
    open.push_back(DrawSteps(StepMix::kOpen, rng));
  }
  EXPECT_EQ(recipe.size(), 2u);
  EXPECT_NEAR(recipe[5] / double{kDraws}, 0.87, 0.02);
  std::ranges::sort(open);
  EXPECT_NEAR(open[kDraws / 2], 8, 1);
  EXPECT_NEAR(open[kDraws * 95 / 100], 25, 2);
  EXPECT_LE(open.back(), 100u);
  EXPECT_GE(open.front(), 1u);
}

TEST(AgentProfile, OneAnswerInAHundredRunsAway) {
  base::Rng rng(1);
  std::vector<uint64_t> tokens;
  for (int i = 0; i < kDraws; ++i) {
    tokens.push_back(DrawOutputTokens(*FindAgentProfile('A'), rng));
  }
  auto runaways = static_cast<double>(std::ranges::count(tokens, 3000));
  EXPECT_NEAR(runaways / kDraws, 0.01, 0.004);
  std::ranges::sort(tokens);
  EXPECT_NEAR(static_cast<double>(tokens[kDraws / 2]), 95, 4);
  EXPECT_NEAR(static_cast<double>(tokens[kDraws * 90 / 100]), 162, 8);
}

TEST(AgentProfile, AnAnswerIsWholeOnlyWithEveryToken) {
  for (uint64_t tokens : std::initializer_list<uint64_t>{1, 2, 95}) {
    std::string whole = AgentAnswerText(tokens, 0, tokens);
    EXPECT_TRUE(IsWholeAgentAnswer(whole)) << whole;
    std::string pieces;
    for (uint64_t i = 0; i < tokens; i += 2) pieces += AgentAnswerText(tokens, i, i + 2);
    EXPECT_EQ(pieces, whole);
    EXPECT_FALSE(IsWholeAgentAnswer(AgentAnswerText(tokens, 0, tokens - 1)));
    EXPECT_FALSE(IsWholeAgentAnswer("go " + whole)) << "something came twice";
    EXPECT_FALSE(IsWholeAgentAnswer(whole + whole));
  }
  EXPECT_FALSE(IsWholeAgentAnswer(""));
}

std::vector<wire::JsonValue> MessagesOf(const std::string& body) {
  auto value = wire::ParseJson(body);
  EXPECT_TRUE(value) << body.substr(0, 200);
  return value->Find("messages")->Elements();
}

TEST(AgentConversation, IsWhatTheClientSends) {
  AgentConversation talk(*FindAgentProfile('A'), 7, "phone");
  std::string first = talk.Body();
  EXPECT_THAT(first.size(), AllOf(Gt(1'225'000u), Lt(1'235'000u)));
  EXPECT_TRUE(first.ends_with(R"("model":"phone","stream":true})"));
  auto messages = MessagesOf(first);
  ASSERT_EQ(messages.size(), 2u);
  auto parts = messages[1].Find("content")->Elements();
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].Find("type")->AsString(), "image_url");

  talk.Answered("go do(n=2)");
  std::string second = talk.Body();
  messages = MessagesOf(second);
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[1].Find("content")->Elements().size(), 1u) << "the old screenshot is gone";
  EXPECT_EQ(messages[2].Find("content")->AsString(), "go do(n=2)");
  EXPECT_EQ(messages[3].Find("content")->Elements().size(), 2u);
}

TEST(AgentConversation, DependsOnItsNumberAlone) {
  const AgentProfile& profile = *FindAgentProfile('D');
  EXPECT_EQ(AgentConversation(profile, 3, "m").Body(), AgentConversation(profile, 3, "m").Body());
  EXPECT_NE(AgentConversation(profile, 3, "m").Body(), AgentConversation(profile, 4, "m").Body());
  std::string five = AgentConversation(profile, 4, "m").Body();
  EXPECT_EQ(MessagesOf(five)[1].Find("content")->Elements().size(), 6u);
  EXPECT_TRUE(wire::ParseJson(five)->Find("stream") == std::nullopt);
  std::string text = AgentConversation(*FindAgentProfile('E'), 4, "m").Body();
  EXPECT_LT(text.size(), 10'000u);
  std::string probe = AgentConversation::ProbeBody("m");
  EXPECT_EQ(wire::ParseJson(probe)->Find("max_tokens")->AsInteger(), 5);
}

}  // namespace
}  // namespace inferq::app
