#include "api/place.h"

#include <gtest/gtest.h>

#include "api/query.h"
#include "api/request_ids.h"
#include "api/request_timeout.h"
#include "api/routes.h"

namespace inferq::api {
namespace {

using namespace std::chrono_literals;

struct PlaceCase {
  const char* path;
  const char* tenant;  ///< "" is none.
  const char* rest;
};

TEST(Place, IsTheSameWithAndWithoutVersionTenantAndSlashes) {
  for (const PlaceCase& c : {
           PlaceCase{"/v1/files", "", "/files"},
           PlaceCase{"/files", "", "/files"},
           PlaceCase{"/v1/files/", "", "/files"},
           PlaceCase{"/v1/files//", "", "/files"},
           PlaceCase{"/t/acme/v1/files/x", "acme", "/files/x"},
           PlaceCase{"/t/acme/files/x/", "acme", "/files/x"},
           PlaceCase{"/t/a.B-9_/v1", "a.B-9_", "/"},
           PlaceCase{"/v1", "", "/"},
           PlaceCase{"/", "", "/"},
           PlaceCase{"/v12/files", "", "/v12/files"},
           PlaceCase{"/tasks", "", "/tasks"},
           PlaceCase{"/v1/t/acme/files", "", "/t/acme/files"},
       }) {
    auto place = ParsePlace(c.path);
    ASSERT_TRUE(place) << c.path;
    EXPECT_EQ(place->tenant.value_or(""), c.tenant) << c.path;
    EXPECT_EQ(place->path, c.rest) << c.path;
  }
}

TEST(Place, ATenantHasAName) {
  std::string long_name = "/t/" + std::string(65, 'a') + "/files";
  for (const std::string& path : {std::string("/t"), std::string("/t/"), std::string("/t//files"),
                                  std::string("/t/a b/files"), std::string("/t/é"), long_name}) {
    auto place = ParsePlace(path);
    ASSERT_FALSE(place) << path;
    EXPECT_EQ(place.error().status, 400);
    EXPECT_EQ(place.error().param, "tenant");
  }
  EXPECT_TRUE(ParsePlace("/t/" + std::string(64, 'a') + "/files"));
}

TEST(FindRoute, KnowsEveryPath) {
  auto found = [](std::string_view method, std::string_view path) {
    RouteMatch match = FindRoute(Routes(), method, path);
    return match.route ? std::string(match.route->pattern) + " " + match.id
                       : "not found, allow " + match.allow;
  };
  EXPECT_EQ(found("GET", "/files"), "/files ");
  EXPECT_EQ(found("GET", "/files/file-1"), "/files/{id} file-1");
  EXPECT_EQ(found("HEAD", "/files/file-1/content"), "/files/{id}/content file-1");
  EXPECT_EQ(found("POST", "/batches/batch_1/cancel"), "/batches/{id}/cancel batch_1");
  EXPECT_EQ(found("GET", "/models/org/name"), "/models/{id...} org/name");
  EXPECT_EQ(found("GET", "/files/a/b"), "not found, allow ");
  EXPECT_EQ(found("GET", "/files//content"), "not found, allow ");
  EXPECT_EQ(found("POST", "/batches//cancel"), "not found, allow ");
  EXPECT_EQ(found("PUT", "/files/file-1"), "not found, allow GET, HEAD, DELETE");
  EXPECT_EQ(found("HEAD", "/completions"), "not found, allow POST");
}

TEST(Query, IsDecoded) {
  EXPECT_EQ(FindParam("a=1&after=x%2Fy+z&b", "after").value(), "x/y z");
  EXPECT_EQ(FindParam("aft%65r=x", "after").value(), "x");
  EXPECT_EQ(FindParam("after", "after").value(), "");
  EXPECT_EQ(FindParam("b=1", "after").value(), std::nullopt);
  EXPECT_EQ(FindParam("", "after").value(), std::nullopt);
  EXPECT_EQ(FindParam("after=1&after=2", "after").value(), "1");
  for (const char* bad : {"after=%", "after=%2", "after=%zz", "after=%-1", "after=%ff"}) {
    EXPECT_EQ(FindParam(bad, "after").error().param, "after") << bad;
  }
}

TEST(Query, IntegersHaveBounds) {
  auto read = [](std::string_view query) { return IntegerParam(query, "limit", 1, 100, 20); };
  EXPECT_EQ(read("").value(), 20u);
  EXPECT_EQ(read("limit=1").value(), 1u);
  EXPECT_EQ(read("limit=100").value(), 100u);
  EXPECT_EQ(read("limit=0").error().code, "integer_below_min_value");
  EXPECT_EQ(read("limit=101").error().code, "integer_above_max_value");
  for (const char* bad : {"limit=", "limit=x", "limit=1.5", "limit=99999999999999999999"}) {
    EXPECT_EQ(read(bad).error().code, "invalid_type") << bad;
  }
}

TEST(RequestIds, TakesTheClientsWhereItCanBeLogged) {
  RequestIds ids(7);
  EXPECT_EQ(ids.Of({{"X-Request-Id", "abc-1"}}), "abc-1");
  EXPECT_EQ(ids.Of({{"x-request-id", std::string(128, 'a')}}), std::string(128, 'a'));
  for (const std::string& bad :
       {std::string(), std::string(129, 'a'), std::string("a b"), std::string("é")}) {
    std::string made = ids.Of({{"x-request-id", bad}});
    EXPECT_EQ(made.size(), 36u) << bad;
    EXPECT_TRUE(made.starts_with("req_"));
  }
  EXPECT_NE(ids.Of({}), ids.Of({}));
}

std::string Timeout(const http::Headers& headers) {
  auto timeout = RequestTimeout(headers);
  if (!timeout) return fmt::format("{}", timeout.error().status);
  if (!*timeout) return "none";
  return fmt::format("{} us{}", (*timeout)->wait.count(), (*timeout)->until_begun ? " silent" : "");
}

TEST(RequestTimeout, IsTheClientsOwnFirst) {
  EXPECT_EQ(Timeout({}), "none");
  EXPECT_EQ(Timeout({{"x-stainless-read-timeout", "600"}}), "600000000 us silent");
  EXPECT_EQ(Timeout({{"X-Stainless-Timeout", "30"}}), "30000000 us silent");
  EXPECT_EQ(Timeout({{"x-stainless-read-timeout", "0.5"}, {"X-Request-Timeout", "2"}}),
            "2000000 us");
  EXPECT_EQ(Timeout({{"x-request-timeout", "1e300"}}), "86400000000 us");
  EXPECT_EQ(Timeout({{"x-stainless-read-timeout", "not-given"}}), "none");
  EXPECT_EQ(Timeout({{"x-stainless-read-timeout", "no"}, {"x-stainless-timeout", "1"}}),
            "1000000 us silent");
  for (const char* bad : {"", "0", "-1", "nan", "1s"}) {
    EXPECT_EQ(Timeout({{"x-request-timeout", bad}}), "400") << bad;
  }
}

}  // namespace
}  // namespace inferq::api
