#include "blob/md5.h"

#include <openssl/evp.h>

namespace inferq::blob {

struct Md5::State {
  using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;
  Context context{EVP_MD_CTX_new(), EVP_MD_CTX_free};
  bool works = false;  // some machines are set up without it
};

Md5::Md5() : state_(std::make_unique<State>()) {
  EVP_MD_CTX* context = state_->context.get();
  state_->works = context != nullptr && EVP_DigestInit_ex(context, EVP_md5(), nullptr) == 1;
}

Md5::~Md5() = default;
Md5::Md5(Md5&&) noexcept = default;
Md5& Md5::operator=(Md5&&) noexcept = default;

void Md5::Add(std::string_view bytes) {
  State& state = *state_;
  state.works =
      state.works && EVP_DigestUpdate(state.context.get(), bytes.data(), bytes.size()) == 1;
}

base::Result<std::string> Md5::Finish() {
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  State& state = *state_;
  if (!state.works || EVP_DigestFinal_ex(state.context.get(), sum, &size) != 1) {
    return base::Fail(base::Code::kUnimplemented, "this machine computes no MD5 sums");
  }
  std::string text;
  for (unsigned int i = 0; i < size; ++i) text += fmt::format("{:02x}", sum[i]);
  return text;
}

}  // namespace inferq::blob
