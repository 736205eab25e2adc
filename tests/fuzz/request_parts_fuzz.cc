// The parts of a request that are read one by one: heads of online requests, batches, paths,
// queries, ranges, timeouts. Each is read within its bounds or refused in proper words.
#include <string>
#include <string_view>

#include "api/byte_range.h"
#include "api/place.h"
#include "api/query.h"
#include "api/request_timeout.h"
#include "base/check.h"
#include "refusal.h"
#include "wire/batch_object.h"
#include "wire/online.h"

using namespace inferq;
using namespace inferq::wire;

namespace {

void ReadBodies(std::string_view text) {
  for (Endpoint endpoint :
       {Endpoint::kChatCompletions, Endpoint::kCompletions, Endpoint::kEmbeddings}) {
    auto head = ReadOnlineHead(text, endpoint);
    if (!head) fuzz::CheckRefusal(head.error());
    if (head) INFERQ_CHECK(!head->model.empty());
  }
  auto batch = ParseBatchCreate(text);
  if (!batch) return fuzz::CheckRefusal(batch.error());
  INFERQ_CHECK(batch->metadata.size() <= kMaxMetadataPairs);
}

void ReadPath(std::string_view text) {
  auto place = api::ParsePlace(text);
  if (!place) return fuzz::CheckRefusal(place.error());
  INFERQ_CHECK(!place->path.empty());
  INFERQ_CHECK(place->tenant.value_or("a").find('/') == std::string::npos);
}

void ReadQuery(std::string_view text) {
  auto value = api::FindParam(text, "after");
  if (!value) fuzz::CheckRefusal(value.error());
  if (value) INFERQ_CHECK(IsUtf8(value->value_or("")));
  auto limit = api::IntegerParam(text, "limit", 1, 100, 20);
  if (!limit) return fuzz::CheckRefusal(limit.error());
  INFERQ_CHECK(*limit >= 1 && *limit <= 100);
}

void ReadHeaders(std::string_view text) {
  constexpr uint64_t kSize = 1000;
  auto range = api::RequestedRange({{"range", std::string(text)}}, kSize);
  if (range && *range) {
    INFERQ_CHECK((*range)->length >= 1 && (*range)->offset + (*range)->length <= kSize);
  }
  for (const char* name : {"x-request-timeout", "x-stainless-read-timeout"}) {
    auto timeout = api::RequestTimeout({{name, std::string(text)}});
    if (!timeout) fuzz::CheckRefusal(timeout.error());
    if (timeout && *timeout) INFERQ_CHECK((*timeout)->wait.count() >= 0);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ReadBodies(text);
  ReadPath(text);
  ReadQuery(text);
  ReadHeaders(text);
  return 0;
}
