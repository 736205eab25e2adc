#include "engine/llama/gguf_file.h"

#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/file_system.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using base::Fail;
using base::Result;

constexpr size_t kHeaderBytes = 24;  // magic, version, counts of tensors and of keys
constexpr uint32_t kNewestVersion = 3;

uint32_t ReadVersion(std::string_view header) {
  uint32_t version = 0;
  for (size_t i = 0; i < 4; ++i)
    version |= uint32_t{static_cast<uint8_t>(header[4 + i])} << (8 * i);
  return version;
}

Result<> CheckHeader(const std::string& path, std::string_view header) {
  if (header.empty()) return Fail(Code::kInvalidArgument, "model {} is empty", path);
  if (!header.starts_with("GGUF")) {
    return Fail(
        Code::kInvalidArgument,
        "model {} is not a GGUF file. Convert it with llama.cpp's convert_hf_to_gguf.py, or "
        "download a .gguf",
        path);
  }
  if (header.size() < kHeaderBytes) {
    return Fail(Code::kInvalidArgument, "model {} ends after {} bytes: download it again", path,
                header.size());
  }
  const uint32_t version = ReadVersion(header);
  if (version == 0 || version > kNewestVersion) {
    return Fail(
        Code::kInvalidArgument,
        "model {} is GGUF version {} (or damaged, or big-endian); versions up to {} are known",
        path, version, kNewestVersion);
  }
  return {};
}

}  // namespace

Result<> CheckGgufFile(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) {
    return Fail(Code::kNotFound, "model {} does not exist", path);
  }
  if (error) return std::unexpected(base::ErrnoError(error.value(), "model " + path));
  if (status.type() == std::filesystem::file_type::directory) {
    return Fail(Code::kInvalidArgument, "model {} is a directory: name the .gguf file in it", path);
  }
  if (status.type() != std::filesystem::file_type::regular) {
    return Fail(Code::kInvalidArgument, "model {} is not a regular file", path);
  }
  auto file = base::PosixFileSystem().Open(path, base::OpenMode::kRead);
  if (!file) return std::unexpected(std::move(file).error().WithContext("model " + path));
  std::array<char, kHeaderBytes> header;
  auto size = (*file)->ReadAt(0, header.data(), header.size());
  if (!size) return std::unexpected(std::move(size).error().WithContext("model " + path));
  return CheckHeader(path, {header.data(), *size});
}

}  // namespace inferq::engine::llama
