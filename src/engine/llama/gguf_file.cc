#include "engine/llama/gguf_file.h"

#include <filesystem>
#include <string_view>
#include <system_error>

#include "base/file_system.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using base::Fail;
using base::Result;

constexpr uint64_t kPartsMax = 1000;

Result<GgufPart> ReadPart(const std::string& path) {
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
  GgufPart part{.path = path, .file_bytes = 0, .header = {}};
  INFERQ_ASSIGN(part.file_bytes, (*file)->Size());
  INFERQ_ASSIGN(part.header, ReadGgufHeader(**file, path));
  return part;
}

// "-00001-of-00003.gguf", as llama.cpp names the parts of a split model.
std::string PartEnding(uint64_t number, uint64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number, count);
}

uint64_t PartsOf(const GgufHeader& header) { return header.Unsigned("split.count").value_or(1); }

Result<> ReadOtherParts(GgufFile& file) {
  const std::string first = file.parts.front().path;
  const uint64_t count = PartsOf(file.header());
  const uint64_t index = file.header().Unsigned("split.no").value_or(0);
  if (count > kPartsMax || index >= count) {
    return Fail(Code::kInvalidArgument,
                "model {} says that it is part {} of {}, of at most {}: damaged", first, index + 1,
                count, kPartsMax);
  }
  const std::string ending = PartEnding(index + 1, count);
  if (!first.ends_with(ending)) {
    return Fail(
        Code::kInvalidArgument,
        "model {} is part {} of {}, so its name must end in {} and the others lie beside it", first,
        index + 1, count, ending);
  }
  const std::string stem = first.substr(0, first.size() - ending.size());
  if (index != 0) {
    return Fail(Code::kInvalidArgument, "model {} is part {} of {}: name the first, {}", first,
                index + 1, count, stem + PartEnding(1, count));
  }
  for (uint64_t i = 1; i < count; ++i) {
    INFERQ_ASSIGN(GgufPart part, ReadPart(stem + PartEnding(i + 1, count)));
    if (PartsOf(part.header) != count || part.header.Unsigned("split.no") != i) {
      return Fail(Code::kInvalidArgument, "model {} is not part {} of {}, as its name says",
                  part.path, i + 1, count);
    }
    file.parts.push_back(std::move(part));
  }
  return {};
}

std::string TextOf(const GgufHeader& header, std::string_view key) {
  const std::string* text = header.Text(key);
  return text ? *text : "";
}

bool IsAdapter(const GgufHeader& header) { return TextOf(header, "general.type") == "adapter"; }

}  // namespace

Result<GgufFile> ReadGgufFile(const std::string& path) {
  GgufFile file;
  INFERQ_ASSIGN(GgufPart part, ReadPart(path));
  file.parts.push_back(std::move(part));
  if (PartsOf(file.header()) > 1) INFERQ_TRY(ReadOtherParts(file));
  return file;
}

Result<> CheckGgufFile(const std::string& path) {
  INFERQ_ASSIGN(const GgufFile file, ReadGgufFile(path));
  if (!IsAdapter(file.header())) return {};
  return Fail(Code::kInvalidArgument,
              "model {} is an adapter: name it as the adapter of the model it was made for", path);
}

Result<> CheckGgufAdapter(const std::string& path, const std::string& model_path) {
  auto file = ReadGgufFile(path);
  if (!file) return std::unexpected(std::move(file).error().WithContext("adapter"));
  const GgufHeader& header = file->header();
  if (!IsAdapter(header)) {
    return Fail(Code::kInvalidArgument, "adapter {} is a model, not an adapter", path);
  }
  if (TextOf(header, "adapter.type") != "lora") {
    return Fail(Code::kInvalidArgument, "adapter {} is of type '{}'; only lora is known", path,
                TextOf(header, "adapter.type"));
  }
  INFERQ_ASSIGN(const GgufFile model, ReadGgufFile(model_path));
  const std::string ours = TextOf(model.header(), "general.architecture");
  const std::string theirs = TextOf(header, "general.architecture");
  if (ours == theirs) return {};
  return Fail(Code::kInvalidArgument, "adapter {} was made for {}, model {} is {}", path, theirs,
              model_path, ours);
}

}  // namespace inferq::engine::llama
