#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"

namespace inferq::blob {

/// The MD5 sum of bytes that come in pieces: what clients compare to find bytes that went wrong on
/// the way. Not for secrets or against attackers. One thread at a time.
class Md5 {
 public:
  Md5();
  ~Md5();
  Md5(Md5&&) noexcept;
  Md5& operator=(Md5&&) noexcept;

  void Add(std::string_view bytes);
  /// 32 hexadecimal digits, small letters; the last call. kUnimplemented: the machine's OpenSSL
  /// has none.
  base::Result<std::string> Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace inferq::blob
