#include "wire/json_splice.h"

#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

std::string Spliced(const std::string& object, const std::vector<JsonEdit>& edits) {
  auto json = ParseJson(object);
  return json ? SpliceJsonObject(*json, edits) : "not JSON";
}

TEST(SpliceJsonObject, LeavesTheRestByteForByte) {
  EXPECT_EQ(Spliced("{ \"\\u0061\" : 1e400 ,\n \"m\" : \"x\", \"z\":[ 1.50 , \"\\u4f60\" ]\t}",
                    {{"m", "\"y\"", true}}),
            "{ \"\\u0061\" : 1e400 ,\n \"m\" : \"y\", \"z\":[ 1.50 , \"\\u4f60\" ]\t}");
}

TEST(SpliceJsonObject, NewMembersComeLast) {
  EXPECT_EQ(Spliced("{\"a\":1 }", {{"b", "2"}, {"c", "3", true}}), "{\"a\":1 ,\"b\":2,\"c\":3}");
  EXPECT_EQ(Spliced("{}", {{"b", "2"}, {"c", "3"}}), "{\"b\":2,\"c\":3}");
}

TEST(SpliceJsonObject, WithoutReplaceOnlyNullGivesWay) {
  EXPECT_EQ(Spliced(R"({"a":1,"b":null})", {{"a", "7"}, {"b", "8"}}), R"({"a":1,"b":8})");
}

TEST(SpliceJsonObject, ARepeatedKeyIsChangedWhereverItStands) {
  EXPECT_EQ(Spliced(R"({"s":true,"x":0,"\u0073":true})", {{"s", "false", true}}),
            R"({"s":false,"x":0,"\u0073":false})");
}

TEST(SpliceJson, ReplacesNestedParts) {
  const std::string text = R"({"a":[{"t":"x"},{"t":"yy"}],"n":1})";
  auto json = ParseJson(text);
  ASSERT_TRUE(json);
  std::vector<JsonSplice> splices;
  const JsonValue array = *json->Find("a");
  for (JsonElements e(array); e.Next();) {
    splices.push_back({e.value().Find("t")->text(), "\"\""});
  }
  EXPECT_EQ(SpliceJson(text, splices), R"({"a":[{"t":""},{"t":""}],"n":1})");
  EXPECT_EQ(SpliceJson(text, {}), text);
}

}  // namespace
}  // namespace inferq::wire
