// One line: what is accepted survives its builder; output lines are valid whatever goes into them.
#include <string>
#include <string_view>

#include "base/check.h"
#include "wire/batch_line.h"
#include "wire/error_map.h"

using namespace inferq::wire;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto line = ParseBatchLine(text, {});
  if (line) {
    std::string again = BatchInputLine(line->custom_id, line->endpoint, CompactJson(line->body));
    auto parsed = ParseBatchLine(again, {});
    INFERQ_CHECK(parsed && parsed->custom_id == line->custom_id &&
                 parsed->endpoint == line->endpoint);
  } else {
    INFERQ_CHECK(!line.error().code.empty() && !line.error().message.empty());
  }
  (void)ParseBatchOutput(text);
  std::string output = BatchResponseLine(text, text, 500, text, text);
  INFERQ_CHECK(output.find('\n') == output.npos);
  INFERQ_CHECK(ParseBatchOutput(output).has_value());
  std::string envelope = ErrorEnvelope(RemoteError(500, text));
  INFERQ_CHECK(ParseJson(envelope).has_value());
  return 0;
}
