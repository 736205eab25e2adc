#include "engine/llama/model_facts.h"

#include <algorithm>
#include <limits>
#include <map>

#include "engine/llama/tensor_types.h"

namespace inferq::engine::llama {
namespace {

constexpr uint64_t kF16Bytes = 2;
// Beyond these no model lies, and products of three stay in 64 bits.
constexpr uint64_t kSaneCount = uint64_t{1} << 20;
constexpr uint64_t kLayersMax = 4096;

// llama.cpp's llama_ftype.
std::string FileTypeName(uint64_t type) {
  static const std::map<uint64_t, std::string> kNames = {{0, "F32"},
                                                         {1, "F16"},
                                                         {2, "Q4_0"},
                                                         {3, "Q4_1"},
                                                         {7, "Q8_0"},
                                                         {8, "Q5_0"},
                                                         {9, "Q5_1"},
                                                         {10, "Q2_K - Medium"},
                                                         {11, "Q3_K - Small"},
                                                         {12, "Q3_K - Medium"},
                                                         {13, "Q3_K - Large"},
                                                         {14, "Q4_K - Small"},
                                                         {15, "Q4_K - Medium"},
                                                         {16, "Q5_K - Small"},
                                                         {17, "Q5_K - Medium"},
                                                         {18, "Q6_K"},
                                                         {19, "IQ2_XXS"},
                                                         {20, "IQ2_XS"},
                                                         {21, "Q2_K - Small"},
                                                         {22, "IQ3_XS"},
                                                         {23, "IQ3_XXS"},
                                                         {24, "IQ1_S"},
                                                         {25, "IQ4_NL"},
                                                         {26, "IQ3_S"},
                                                         {27, "IQ3_M"},
                                                         {28, "IQ2_S"},
                                                         {29, "IQ2_M"},
                                                         {30, "IQ4_XS"},
                                                         {31, "IQ1_M"},
                                                         {32, "BF16"},
                                                         {36, "TQ1_0"},
                                                         {37, "TQ2_0"},
                                                         {38, "MXFP4"}};
  const auto found = kNames.find(type);
  return found == kNames.end() ? fmt::format("type {}", type) : found->second;
}

std::string PoolingName(uint64_t type) {
  constexpr std::string_view kNames[] = {"", "mean", "cls", "last", "rank"};
  return type < std::size(kNames) ? std::string(kNames[type]) : fmt::format("type {}", type);
}

// The keys of a model's own architecture: "glm4.block_count".
class ArchKeys {
 public:
  ArchKeys(const GgufHeader& header, std::string architecture)
      : header_(header), prefix_(std::move(architecture) + ".") {}

  std::optional<uint64_t> Unsigned(std::string_view key) const {
    return header_.Unsigned(prefix_ + std::string(key));
  }
  std::optional<double> Number(std::string_view key) const {
    return header_.Number(prefix_ + std::string(key));
  }
  std::string Text(std::string_view key) const {
    const std::string* text = header_.Text(prefix_ + std::string(key));
    return text ? *text : "";
  }
  uint64_t Count(std::string_view key) const { return Unsigned(key).value_or(0); }

  // A number, or a list with one for each layer. Empty: neither.
  std::vector<uint64_t> PerLayer(std::string_view key, uint64_t layers) const {
    if (const auto same = Unsigned(key)) return std::vector<uint64_t>(layers, *same);
    const GgufList* list = header_.List(prefix_ + std::string(key));
    std::vector<uint64_t> numbers;
    if (!list) return numbers;
    for (size_t i = 0; i < std::min<size_t>(layers, list->numbers.size()); ++i)
      numbers.push_back(static_cast<uint64_t>(std::max<int64_t>(0, list->numbers[i])));
    return numbers;
  }

 private:
  const GgufHeader& header_;
  std::string prefix_;
};

// 0: nonsense, of which nothing follows.
uint64_t SaneLayers(uint64_t layers) { return layers > kLayersMax ? 0 : layers; }

uint64_t Largest(const std::vector<uint64_t>& numbers) {
  return numbers.empty() ? 0 : std::ranges::max(numbers);
}

void ReadTensors(const GgufFile& file, ModelFacts& facts) {
  std::map<uint32_t, TypeShare> shares;
  for (const GgufPart& part : file.parts) {
    facts.file_bytes += part.file_bytes;
    for (const GgufTensor& tensor : part.header.tensors) {
      TypeShare& share = shares[tensor.type];
      const auto type = FindTensorType(tensor.type);
      share.type = type ? std::string(type->name) : fmt::format("type {}", tensor.type);
      ++share.tensors;
      ++facts.tensors;
      share.elements += tensor.elements;
      share.bytes += tensor.bytes;
      facts.tensor_bytes += tensor.bytes;
      facts.parameters += tensor.elements;
    }
  }
  for (auto& [id, share] : shares) facts.types.push_back(std::move(share));
  std::ranges::sort(facts.types, std::greater(),
                    [](const TypeShare& share) { return std::pair(share.bytes, share.type); });
}

void ReadTokenizer(const GgufHeader& header, ModelFacts& facts) {
  const auto text = [&](std::string_view key) {
    const std::string* found = header.Text(key);
    return found ? *found : "";
  };
  facts.tokenizer = text("tokenizer.ggml.model");
  facts.pre_tokenizer = text("tokenizer.ggml.pre");
  if (const GgufList* tokens = header.List("tokenizer.ggml.tokens"))
    facts.vocabulary = tokens->count;
  if (const std::string* chat = header.Text("tokenizer.chat_template")) facts.chat_template = *chat;
}

void ReadRope(const ArchKeys& keys, ModelFacts& facts) {
  facts.rope_dimensions = keys.Unsigned("rope.dimension_count");
  facts.rope_base = keys.Number("rope.freq_base");
  facts.rope_scaling = keys.Text("rope.scaling.type");
  facts.rope_factor = keys.Number("rope.scaling.factor");
  facts.rope_original_context = keys.Unsigned("rope.scaling.original_context_length");
}

void ReadAttention(const ArchKeys& keys, ModelFacts& facts) {
  const uint64_t layers = SaneLayers(facts.layers);
  const auto heads = keys.PerLayer("attention.head_count", layers);
  auto kv_heads = keys.PerLayer("attention.head_count_kv", layers);
  if (kv_heads.empty()) kv_heads = heads;
  facts.heads = Largest(heads);
  facts.kv_heads = Largest(kv_heads);
  const uint64_t usual = facts.heads == 0 ? 0 : facts.width / facts.heads;
  facts.key_length = keys.Unsigned("attention.key_length").value_or(usual);
  facts.value_length = keys.Unsigned("attention.value_length").value_or(usual);
  if (std::max({facts.kv_heads, facts.key_length, facts.value_length}) > kSaneCount) return;
  for (const uint64_t count : kv_heads)
    facts.kv_bytes_per_token += count * (facts.key_length + facts.value_length) * kF16Bytes;
}

}  // namespace

ModelFacts FactsOf(const GgufFile& file) {
  const GgufHeader& header = file.header();
  ModelFacts facts;
  const auto text = [&](std::string_view key) {
    const std::string* found = header.Text(key);
    return found ? *found : "";
  };
  facts.architecture = text("general.architecture");
  facts.name = text("general.name");
  facts.kind = header.Text("general.type") ? text("general.type") : "model";
  facts.version = header.version;
  facts.parts = file.parts.size();
  if (const auto type = header.Unsigned("general.file_type")) facts.file_type = FileTypeName(*type);
  ReadTensors(file, facts);

  const ArchKeys keys(header, facts.architecture);
  facts.layers = keys.Count("block_count");
  facts.width = keys.Count("embedding_length");
  facts.feed_forward = Largest(keys.PerLayer("feed_forward_length", SaneLayers(facts.layers)));
  facts.experts = keys.Count("expert_count");
  facts.experts_used = keys.Count("expert_used_count");
  facts.trained_context = keys.Count("context_length");
  facts.sliding_window = keys.Count("attention.sliding_window");
  if (const auto pooling = keys.Unsigned("pooling_type")) facts.pooling = PoolingName(*pooling);
  ReadAttention(keys, facts);
  ReadRope(keys, facts);
  ReadTokenizer(header, facts);
  return facts;
}

}  // namespace inferq::engine::llama
