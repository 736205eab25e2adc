#pragma once

#include <string_view>

namespace inferq::http {

/// Whether they differ in the case of ASCII letters at most.
bool SameIgnoringCase(std::string_view a, std::string_view b);
/// Without spaces and tabs at both ends.
std::string_view Trim(std::string_view text);
/// Characters of methods and header names (RFC 9110, 5.6.2).
bool IsToken(std::string_view text);
/// Characters of header values: no control character but tab.
bool IsFieldValue(std::string_view text);
/// Well-formed UTF-8 (RFC 3629) without NUL.
bool IsCleanUtf8(std::string_view text);

}  // namespace inferq::http
