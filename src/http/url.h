#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "runtime/net.h"

namespace inferq::http {

/// An http or https address, taken apart.
struct Url {
  runtime::Address address;
  std::string target = "/";  ///< Path with query, begins with '/'. No fragment.

  /// "http://host", with ":port" where it is not the scheme's own.
  std::string Origin() const;
  /// "host" or "host:port", as the Host header wants it.
  std::string Authority() const;
};

/// Reads "http://host[:port][/path][?query]" or https.
/// @return kInvalidArgument: another scheme, no host, bad port, white space or control characters,
/// user and
///         password in the address (they would end up in logs), a fragment. The message does not
///         repeat a password.
base::Result<Url> ParseUrl(std::string_view text);

}  // namespace inferq::http
