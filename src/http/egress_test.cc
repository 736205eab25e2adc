#include "http/egress.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace inferq::http {
namespace {

bool Public(const std::string& text) {
  std::array<uint8_t, 4> v4{};
  if (::inet_pton(AF_INET, text.c_str(), v4.data()) == 1) return IsPublic(v4);
  std::array<uint8_t, 16> v6{};
  EXPECT_EQ(::inet_pton(AF_INET6, text.c_str(), v6.data()), 1) << text;
  return IsPublic(v6);
}

TEST(Egress, HostsOfTheInternetArePublic) {
  for (const char* text :
       {"1.1.1.1",         "8.8.8.8",          "9.255.255.255",     "11.0.0.0",
        "100.63.255.255",  "100.128.0.0",      "126.255.255.255",   "128.0.0.1",
        "169.253.255.255", "169.255.0.0",      "172.15.255.255",    "172.32.0.0",
        "192.167.255.255", "192.169.0.0",      "198.17.255.255",    "198.20.0.0",
        "223.255.255.255", "2606:4700::1111",  "2a00:1450:4001::1", "2001:4860:4860::8888",
        "::ffff:8.8.8.8",  "64:ff9b::808:808", "2002:0808:0808::1"}) {
    EXPECT_TRUE(Public(text)) << text;
  }
}

TEST(Egress, AllElseIsNot) {
  for (const char* text : {"0.0.0.0",
                           "0.1.2.3",
                           "10.0.0.1",
                           "10.255.255.255",
                           "100.64.0.0",
                           "100.127.255.255",
                           "127.0.0.1",
                           "127.255.255.255",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.0.0.1",
                           "192.0.2.1",
                           "192.88.99.1",
                           "192.168.0.1",
                           "198.18.0.1",
                           "198.19.255.255",
                           "198.51.100.1",
                           "203.0.113.1",
                           "224.0.0.1",
                           "239.255.255.255",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "::127.0.0.1",
                           "fe80::1",
                           "febf::1",
                           "fec0::1",
                           "fc00::1",
                           "fdff::1",
                           "ff02::1",
                           "2001:db8::1",
                           "2001::1",
                           "3fff::1",
                           "5f00::1",
                           "100::1",
                           "4000::1",
                           "::ffff:127.0.0.1",
                           "::ffff:10.0.0.1",
                           "::ffff:169.254.169.254",
                           "::ffff:0.0.0.0",
                           "64:ff9b::7f00:1",
                           "64:ff9b::a00:1",
                           "64:ff9b:1::1",
                           "2002:7f00:1::",
                           "2002:a00:1::1"}) {
    EXPECT_FALSE(Public(text)) << text;
  }
}

}  // namespace
}  // namespace inferq::http
