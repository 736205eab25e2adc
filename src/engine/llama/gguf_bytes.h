#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"

// Small GGUF files in memory, for tests of what reads them.
namespace inferq::engine::llama::testing {

/// Bytes that look like a file. Read only.
class BytesFile final : public base::File {
 public:
  explicit BytesFile(std::string_view bytes) : bytes_(bytes) {}
  base::Result<size_t> ReadAt(uint64_t offset, char* out, size_t size) override {
    if (offset >= bytes_.size()) return 0;
    const std::string_view part = bytes_.substr(static_cast<size_t>(offset), size);
    std::memcpy(out, part.data(), part.size());
    return part.size();
  }
  base::Result<> WriteAt(uint64_t, std::string_view) override { return Refuse(); }
  base::Result<> Sync() override { return Refuse(); }
  base::Result<> Truncate(uint64_t) override { return Refuse(); }
  base::Result<uint64_t> Size() override { return bytes_.size(); }

 private:
  static base::Result<> Refuse() { return base::Fail(base::Code::kUnimplemented, "read only"); }
  std::string_view bytes_;
};

/// Writes a GGUF key by key and tensor by tensor, right or wrong as the test wants it.
class GgufBytes {
 public:
  static std::string U32(uint32_t value) { return Number(value, 4); }
  static std::string U64(uint64_t value) { return Number(value, 8); }
  static std::string Text(std::string_view text) { return U64(text.size()) + std::string(text); }

  /// A pair as it stands in the file: the value with its type.
  GgufBytes& Raw(std::string_view key, uint32_t type, std::string value) {
    keys_.push_back(Text(key) + U32(type) + std::move(value));
    return *this;
  }
  GgufBytes& Set(std::string_view key, uint32_t value) { return Raw(key, 4, U32(value)); }
  GgufBytes& Set(std::string_view key, std::string_view value) { return Raw(key, 8, Text(value)); }
  GgufBytes& Set(std::string_view key, const char* value) {
    return Set(key, std::string_view(value));
  }
  GgufBytes& Set(std::string_view key, const std::vector<int32_t>& values) {
    std::string list = U32(5) + U64(values.size());
    for (const int32_t value : values) list += U32(static_cast<uint32_t>(value));
    return Raw(key, 9, list);
  }
  GgufBytes& Set(std::string_view key, const std::vector<std::string>& values) {
    std::string list = U32(8) + U64(values.size());
    for (const std::string& value : values) list += Text(value);
    return Raw(key, 9, list);
  }
  GgufBytes& Tensor(std::string_view name, const std::vector<uint64_t>& shape, uint32_t type,
                    uint64_t offset) {
    std::string tensor = Text(name) + U32(static_cast<uint32_t>(shape.size()));
    for (const uint64_t length : shape) tensor += U64(length);
    tensors_.push_back(tensor + U32(type) + U64(offset));
    return *this;
  }

  /// @param weights  bytes of them, zeros.
  std::string Build(size_t weights = 0, uint32_t version = 3) const {
    std::string out = "GGUF" + U32(version) + U64(tensors_.size()) + U64(keys_.size());
    for (const std::string& key : keys_) out += key;
    for (const std::string& tensor : tensors_) out += tensor;
    if (weights > 0) out.resize((out.size() + 31) / 32 * 32 + weights);
    return out;
  }

 private:
  static std::string Number(uint64_t value, size_t bytes) {
    std::string out;
    for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
    return out;
  }
  std::vector<std::string> keys_;
  std::vector<std::string> tensors_;
};

/// A whole small model of two layers: 2 tensors, 192 bytes of weights.
inline GgufBytes SmallModel() {
  GgufBytes file;
  file.Set("general.architecture", "glm4").Set("general.name", "small");
  file.Set("general.file_type", uint32_t{1}).Set("glm4.block_count", uint32_t{2});
  file.Set("glm4.embedding_length", uint32_t{64}).Set("glm4.attention.head_count", uint32_t{4});
  file.Set("glm4.attention.head_count_kv", uint32_t{2}).Set("glm4.context_length", uint32_t{2048});
  file.Set("tokenizer.ggml.model", "gpt2").Set("tokenizer.chat_template", "{% for m in x %}\nrest");
  file.Set("tokenizer.ggml.tokens", std::vector<std::string>{"a", "b", "cc"});
  file.Set("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, -3});
  file.Tensor("token_embd.weight", {16, 4}, 1, 0).Tensor("output.weight", {16}, 0, 128);
  return file;
}

}  // namespace inferq::engine::llama::testing
