#include "client/worker_answers.h"

#include <gtest/gtest.h>

namespace inferq::client {
namespace {

TEST(WorkerAnswersTest, AClaimGivesIdsFencesAndPayloadsInOrder) {
  auto tasks = ParseClaimAnswer(
      R"({"tasks":[{"id":"task_1","fence":"18446744073709551615","kind":"k","payload":{"a":[1]}},
                   {"payload":7,"fence":"2","id":"task_2"}]})");
  ASSERT_TRUE(tasks.has_value());
  ASSERT_EQ(tasks->size(), 2U);
  EXPECT_EQ((*tasks)[0].id, "task_1");
  EXPECT_EQ((*tasks)[0].fence, "18446744073709551615");
  EXPECT_EQ((*tasks)[0].payload, R"({"a":[1]})");
  EXPECT_EQ((*tasks)[1].payload, "7");
}

TEST(WorkerAnswersTest, AnEmptyClaimIsNoFailure) {
  auto tasks = ParseClaimAnswer(R"({"tasks":[]})");
  ASSERT_TRUE(tasks.has_value());
  EXPECT_TRUE(tasks->empty());
}

TEST(WorkerAnswersTest, RefusedEndsAreCountedAndTheFirstIsShown) {
  auto answer = ParseCompleteAnswer(
      R"({"tasks":[{"id":"a","ok":true},{"id":"b","ok":false,"error":{"code":"aborted"}},
                   {"id":"c","ok":false,"error":{"code":"not_found"}}],
          "claimed":[{"id":"d","fence":"9"}]})");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->done, 1U);
  EXPECT_EQ(answer->refused, 2U);
  EXPECT_EQ(answer->first_refusal, R"({"code":"aborted"})");
  ASSERT_EQ(answer->claimed.size(), 1U);
  EXPECT_EQ(answer->claimed[0].id, "d");
}

TEST(WorkerAnswersTest, WhatIsNoAnswerIsAFailure) {
  for (const char* text : {"", "[]", "{}", R"({"tasks":7})", R"({"tasks":[{"id":"a"}]})"}) {
    EXPECT_FALSE(ParseClaimAnswer(text).has_value()) << text;
  }
  for (const char* text : {"nonsense", "{}", R"({"tasks":7})", R"({"claimed":[]})"}) {
    EXPECT_FALSE(ParseCompleteAnswer(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace inferq::client
