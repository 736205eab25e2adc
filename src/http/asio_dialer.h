#pragma once

#include <memory>
#include <string>

#include "http/egress.h"
#include "runtime/net.h"
#include "runtime/runtime.h"

namespace inferq::http {

struct TlsOptions {
  /// PEM file with the certificates to trust instead of the system's; for servers with a
  /// certificate of their own making. "": the system's.
  std::string ca_file;
};

/// Real sockets, over an AsioRuntime. TLS is 1.2 or newer, and always checks the certificate and
/// its host name. `runtime` outlives it. kInvalidArgument: ca_file cannot be read or holds no
/// certificate.
/// @param egress  asked of the very address that is connected to, so no name can point elsewhere
///                meanwhile; a host without an allowed one is kPermissionDenied.
base::Result<std::unique_ptr<runtime::Dialer>> MakeAsioDialer(runtime::Runtime& runtime,
                                                              TlsOptions options = {},
                                                              Egress egress = Egress::kAny);

}  // namespace inferq::http
