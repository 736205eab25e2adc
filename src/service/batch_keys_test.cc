#include "service/batch_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace inferq::service {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pointee;

constexpr base::WallTime kNoon{1'700'000'000s};

model::BatchRecord Batch(std::string id, std::string key, base::WallTime created = kNoon) {
  model::BatchRecord batch;
  batch.id = std::move(id);
  batch.tenant = "ann";
  batch.idempotency_key = std::move(key);
  batch.created = created;
  return batch;
}

TEST(BatchKeys, AKeyIsATenantsOwnForADay) {
  BatchKeys keys;
  keys.Add(Batch("batch_1", "k"));
  EXPECT_THAT(keys.Find("ann", "k", kNoon + 24h - 1us), Pointee(std::string("batch_1")));
  EXPECT_EQ(keys.Find("ann", "k", kNoon + 24h), nullptr);
  EXPECT_EQ(keys.Find("bob", "k", kNoon), nullptr);
  EXPECT_EQ(keys.Find("ann", "other", kNoon), nullptr);
}

TEST(BatchKeys, OldOnesAreForgottenAFewAtATime) {
  BatchKeys keys;
  keys.Add(Batch("batch_1", "a"));
  keys.Add(Batch("batch_2", "b"));
  keys.Add(Batch("batch_3", "c", kNoon + 1h));
  EXPECT_THAT(keys.Expire(kNoon + 23h, 10), IsEmpty());
  EXPECT_THAT(keys.Expire(kNoon + 24h, 1), ElementsAre("batch_1"));
  EXPECT_THAT(keys.Expire(kNoon + 24h, 10), ElementsAre("batch_2"));
  EXPECT_THAT(keys.Find("ann", "c", kNoon + 24h), Pointee(std::string("batch_3")));
}

TEST(BatchKeys, AKeyThatWasTakenAnewStaysWithItsNewBatch) {
  BatchKeys keys;
  keys.Add(Batch("batch_1", "k"));
  keys.Add(Batch("batch_2", "k", kNoon + 24h));
  EXPECT_THAT(keys.Expire(kNoon + 25h, 10), ElementsAre("batch_1"));
  EXPECT_THAT(keys.Find("ann", "k", kNoon + 25h), Pointee(std::string("batch_2")));
}

}  // namespace
}  // namespace inferq::service
