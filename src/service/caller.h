#pragma once

#include <string>

namespace inferq::service {

/// Who asks, as the gateway made sure.
struct Caller {
  std::string tenant = "default";
  std::string request_id;   ///< Of the request, for logs.
  std::string traceparent;  ///< W3C Trace Context of the request; "" is none.
};

}  // namespace inferq::service
