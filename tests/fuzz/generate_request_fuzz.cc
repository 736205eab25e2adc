// One request body: accepted ones keep their ranges, refused ones name a field; defaults leave it
// acceptable.
#include <string>
#include <string_view>

#include "base/check.h"
#include "wire/chat.h"
#include "wire/embedding.h"

using namespace inferq::wire;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (Endpoint endpoint : {Endpoint::kChatCompletions, Endpoint::kCompletions}) {
    auto request = ParseGenerateRequest(text, endpoint);
    if (!request) {
      INFERQ_CHECK(request.error().param().starts_with("body"));
      continue;
    }
    INFERQ_CHECK(request->sampling.temperature >= 0 && request->sampling.temperature <= 2);
    INFERQ_CHECK(request->sampling.top_p >= 0 && request->sampling.top_p <= 1);
    INFERQ_CHECK(request->max_tokens.value_or(1) >= 1);
    INFERQ_CHECK(request->stop.size() <= 16);
    BodyDefaults defaults;
    defaults.model = "m";
    defaults.max_tokens = 1;
    auto body = ParseJson(text);
    INFERQ_CHECK(ParseGenerateRequest(WithDefaults(*body, defaults), endpoint).has_value());
  }
  if (auto request = ParseEmbeddingRequest(text)) {
    INFERQ_CHECK(!request->inputs.empty() && request->inputs.size() <= kMaxEmbeddingInputs);
  } else {
    INFERQ_CHECK(request.error().param().starts_with("body"));
  }
  if (auto body = ParseJson(text)) (void)ParseAnswerBody(*body);
  return 0;
}
