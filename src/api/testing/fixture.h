#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "api/gateway.h"
#include "api/testing/fakes.h"
#include "wire/json.h"

namespace inferq::api::testing {

/// A gateway over a service in memory, under virtual time.
class GatewayTest : public ::testing::Test {
 protected:
  FakeExchange Request(std::string method, std::string target, std::string body = "") {
    FakeExchange exchange(runtime_, std::move(method), std::move(target));
    exchange.body = std::move(body);
    return exchange;
  }
  /// Has it handled, to the end.
  void Handle(FakeExchange& exchange) {
    Gateway gateway(use_cases_, options_);
    runtime_.Run(gateway.Handle(exchange));
  }
  FakeExchange Do(std::string method, std::string target, std::string body = "") {
    FakeExchange exchange = Request(std::move(method), std::move(target), std::move(body));
    Handle(exchange);
    return exchange;
  }

  /// A member of the answer's error, "null" where it is null.
  static std::string ErrorOf(const FakeExchange& exchange, std::string_view member) {
    auto json = wire::ParseJson(exchange.answer);
    auto error = json ? json->Find("error") : std::nullopt;
    auto value = error ? error->Find(member) : std::nullopt;
    if (!value) return "no envelope: " + exchange.answer;
    return value->is_null() ? "null" : value->AsString().value_or("");
  }

  inferq::testing::SimRuntime runtime_;
  FakeUseCases use_cases_{runtime_};
  GatewayOptions options_;
};

}  // namespace inferq::api::testing
