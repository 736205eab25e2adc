// One GGUF header: what is accepted lies inside the file, and nothing is kept that was not there.
#include <string>
#include <string_view>

#include "base/check.h"
#include "engine/llama/gguf_bytes.h"
#include "engine/llama/gguf_header.h"
#include "engine/llama/model_facts.h"

using namespace inferq::engine::llama;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  testing::BytesFile file(bytes);
  auto header = ReadGgufHeader(file, "f.gguf");
  if (!header) {
    INFERQ_CHECK(header.error().message().find("f.gguf") != std::string::npos);
    return 0;
  }
  INFERQ_CHECK(header->data_end <= size);
  size_t kept = 0;
  for (const auto& [key, value] : header->values) {
    kept += key.size();
    if (const auto* text = std::get_if<std::string>(&value)) kept += text->size();
    if (const auto* list = std::get_if<GgufList>(&value)) kept += list->numbers.size();
  }
  for (const GgufTensor& tensor : header->tensors) {
    kept += tensor.name.size();
    INFERQ_CHECK(header->data_offset + tensor.offset + tensor.bytes <= size);
  }
  INFERQ_CHECK(kept <= size);
  GgufFile whole;
  whole.parts.push_back({.path = "f.gguf", .file_bytes = size, .header = *std::move(header)});
  (void)FactsOf(whole);
  return 0;
}
