#include "http/text.h"

#include <algorithm>
#include <cctype>
#include <cstdint>

namespace inferq::http {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t'; }

// Bytes of the sequence that `lead` begins; 0: it begins none.
size_t SequenceLength(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

bool IsCodePoint(uint32_t code, size_t length) {
  if (code >= 0xd800 && code <= 0xdfff) return false;  // a surrogate
  if (length == 3) return code >= 0x800;
  if (length == 4) return code >= 0x10000 && code <= 0x10ffff;
  return code != 0;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

bool SameIgnoringCase(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, Lower, Lower);
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("!#$%&'*+-.^_`|~").contains(static_cast<char>(c));
  });
}

bool IsFieldValue(std::string_view text) {
  return std::ranges::none_of(text,
                              [](unsigned char c) { return (c < ' ' && c != '\t') || c == 0x7f; });
}

bool IsCleanUtf8(std::string_view text) {
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const size_t length = SequenceLength(lead);
    if (length == 0 || text.size() < length) return false;
    uint32_t code = length == 1 ? lead : lead & (0x7fu >> length);
    for (char next : text.substr(1, length - 1)) {
      if ((static_cast<unsigned char>(next) & 0xc0) != 0x80) return false;
      code = (code << 6) | (static_cast<unsigned char>(next) & 0x3f);
    }
    if (!IsCodePoint(code, length)) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace inferq::http
