#include "runtime/net.h"

namespace inferq::runtime {

std::string Address::ToString() const {
  bool ipv6 = host.find(':') != std::string::npos;
  return ipv6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

}  // namespace inferq::runtime
