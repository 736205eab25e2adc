// Any bytes as a connection: the parser reads what the strict check lets pass as the check did, and
// pieces make no difference, neither to them nor to the server's answers.
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "http/request_decoder.h"
#include "http/request_head.h"
#include "http/server.h"
#include "http/testing/test_handler.h"
#include "http/text.h"
#include "testing/sim_net.h"
#include "testing/sim_runtime.h"

using namespace inferq;
using namespace inferq::http;
using inferq::http::testing::TestHandler;
using inferq::testing::SimListener;
using inferq::testing::SimRuntime;

namespace {

constexpr size_t kMaxInput = 4096;  // below every limit that counts bytes

HeadScan ScanInPieces(std::string_view bytes) {
  HeadScan scan;
  for (size_t size = 1; size <= bytes.size() && scan.end == HeadEnd::kOpen; ++size)
    scan = ScanHead(bytes.substr(0, size), scan.size);
  return scan;
}

/// The lines of a head that was accepted, taken apart in the plainest way.
void CheckSameAsPlain(std::string_view head, RequestDecoder& decoder) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  INFERQ_CHECK(line == fmt::format("{} {} HTTP/1.{}", decoder.method(), decoder.target(),
                                   decoder.minor_version()));
  head.remove_prefix(line.size() + 2);
  for (const Header& header : decoder.headers()) {
    const std::string_view field = head.substr(0, head.find("\r\n"));
    const size_t colon = field.find(':');
    INFERQ_CHECK(colon != field.npos && header.name == field.substr(0, colon));
    INFERQ_CHECK(header.value == Trim(field.substr(colon + 1)));
    head.remove_prefix(field.size() + 2);
  }
  INFERQ_CHECK(head == "\r\n");
}

struct Body {
  std::string bytes;
  size_t used = 0;
  bool done = false;
  bool bad = false;
  bool operator==(const Body&) const = default;
};

Body ReadBody(std::string_view head, std::string_view bytes, size_t piece) {
  auto decoder = RequestDecoder::Make(head);
  INFERQ_CHECK(decoder.has_value());
  CheckSameAsPlain(head, **decoder);
  Body body;
  for (size_t size = 0; size < bytes.size() && !body.bad && !(*decoder)->done();) {
    size = std::min(size + piece, bytes.size());
    auto used = (*decoder)->Feed(bytes.substr(body.used, size - body.used));
    body.bad = !used;
    body.used += used.value_or(0);
    body.bytes += (*decoder)->TakeBody();
  }
  body.done = (*decoder)->done();
  if (body.bad) return {{}, 0, false, true};  // how far it was read depends on the pieces
  if (auto length = (*decoder)->content_length(); length && body.done)
    INFERQ_CHECK(body.bytes.size() == *length);
  return body;
}

runtime::Awaitable<void> Say(runtime::Stream& stream, std::string_view bytes, size_t piece,
                             SimRuntime& sim) {
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    if (!co_await stream.Write(bytes.substr(0, piece), {})) co_return;
    for (int i = 0; i < 20; ++i) co_await sim.Yield();  // the server sees one piece at a time
  }
}

runtime::Awaitable<void> Hear(runtime::Stream& stream, std::string& heard) {
  std::string buffer(4096, '\0');
  for (;;) {
    auto got = co_await stream.Read(buffer);
    if (!got || *got == 0) co_return;
    heard.append(buffer, 0, *got);
  }
}

// Whether 100 is said, and what /pieces counts.
bool AnswersDependOnPieces(std::string_view bytes) {
  return bytes.contains("xpect") || bytes.contains("XPECT") || bytes.contains("pieces");
}

std::string Converse(std::string_view bytes, size_t piece) {
  SimRuntime sim;
  TestHandler handler(sim);
  handler.Release();
  auto listener = std::make_unique<SimListener>(sim);
  auto client = listener->Connect();
  Server server(sim, {&sim}, handler, {});
  server.ListenOn(std::move(listener));
  std::string heard;
  runtime::Scope scope(sim);
  scope.Spawn(Hear(*client, heard));
  scope.Spawn(Say(*client, bytes, piece, sim));
  sim.RunUntilIdle();
  client->Close();
  sim.Run(scope.Join());
  sim.Run(server.Stop(sim.clock().Steady()));
  INFERQ_CHECK(server.counters().open == 0 && server.counters().body_memory == 0);
  return heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > kMaxInput) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const HeadScan scan = ScanHead(bytes, 0);
  const HeadScan again = ScanInPieces(bytes);
  INFERQ_CHECK(scan.end == again.end && (scan.end == HeadEnd::kOpen || scan.size == again.size));
  if (scan.end == HeadEnd::kFound) {
    const std::string_view head = bytes.substr(0, scan.size);
    const auto good = CheckRequestHead(head, 100);
    INFERQ_CHECK(good || (good.error().status >= 400 && !good.error().message.empty()));
    if (good) {
      const Body whole = ReadBody(head, bytes.substr(scan.size), SIZE_MAX / 2);
      INFERQ_CHECK(ReadBody(head, bytes.substr(scan.size), 1) == whole);
    }
  }
  const std::string answers = Converse(bytes, SIZE_MAX);
  INFERQ_CHECK(answers.empty() || answers.starts_with("HTTP/1.1 "));
  if (AnswersDependOnPieces(bytes)) return 0;
  INFERQ_CHECK(Converse(bytes, 7) == answers);
  return 0;
}
