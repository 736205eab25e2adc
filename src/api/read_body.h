#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "api/call.h"

namespace inferq::api {

/// Reads the body and has it parsed: a large one where blocking is allowed, so that the loop serves
/// its other connections meanwhile. `parse(std::string_view)` yields a wire::ApiResult that holds
/// no view of the text; it is called on any thread.
template <class Parse, class Parsed = std::invoke_result_t<Parse&, std::string_view>>
Awaitable<Parsed> ReadParsed(Call& call, Parse parse) {
  constexpr size_t kLarge = 256u << 10;
  auto body = co_await call.exchange.ReadBody(call.body_limit);
  if (!body) co_return std::unexpected(BodyError(body.error(), call.body_limit));
  if (body->size() < kLarge) co_return parse(*body);
  auto work = [text = *std::move(body), parse = std::move(parse)]() mutable { return parse(text); };
  co_return co_await call.here().RunBlocking(runtime::kAnyLane, std::move(work));
}

}  // namespace inferq::api
