// The table of routes and docs/api/openapi.yaml, which describes it to clients, are of one mind.

#include <gmock/gmock.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "api/routes.h"
#include "base/file_system.h"

namespace inferq::api {
namespace {

using Operations = std::set<std::string>;  // "GET /files/{id}"

// Answered by the gateway before it looks for a route.
const Operations kBesideTheTable = {"GET /healthz", "GET /readyz"};

std::string Upper(std::string_view text) {
  std::string out;
  std::ranges::transform(text, std::back_inserter(out),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
}

/// What `line` names when it is a key that stands `indent` columns in; "" otherwise.
std::string_view KeyAt(std::string_view line, size_t indent) {
  if (line.find_first_not_of(' ') != indent || !line.ends_with(':')) return {};
  return line.substr(indent, line.size() - indent - 1);
}

/// The page is laid out so that a path is a key two columns in, and a method four, below "paths:".
Operations DescribedIn(const std::string& page) {
  Operations found;
  std::istringstream lines(page);
  std::string path;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (!KeyAt(line, 0).empty()) inside = KeyAt(line, 0) == "paths";
    if (!inside) continue;
    if (auto key = KeyAt(line, 2); !key.empty()) path = key;
    auto key = KeyAt(line, 4);
    if (!key.empty() && key != "parameters") found.insert(Upper(key) + " " + path);
  }
  return found;
}

Operations Served() {
  Operations served = kBesideTheTable;
  for (const Route& route : Routes()) {
    std::string pattern(route.pattern);
    if (size_t dots = pattern.find("...}"); dots != pattern.npos) pattern.erase(dots, 3);
    served.insert(std::string(route.method) + " " + pattern);
  }
  return served;
}

Operations Without(const Operations& all, const Operations& those) {
  Operations rest;
  std::ranges::set_difference(all, those, std::inserter(rest, rest.end()));
  return rest;
}

TEST(Description, HasEveryRouteAndNoOther) {
  auto page = base::ReadFile(base::PosixFileSystem(), "docs/api/openapi.yaml");
  ASSERT_TRUE(page) << page.error().message();
  Operations described = DescribedIn(*page);
  EXPECT_THAT(Without(Served(), described), testing::IsEmpty())
      << "describe these in docs/api/openapi.yaml";
  EXPECT_THAT(Without(described, Served()), testing::IsEmpty())
      << "docs/api/openapi.yaml describes what the server does not have";
}

}  // namespace
}  // namespace inferq::api
