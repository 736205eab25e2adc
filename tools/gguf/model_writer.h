#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "gguf/safetensors.h"
#include "gguf/vocabulary.h"

namespace inferq::gguf {

enum class Arch : uint8_t {
  kLlama,
  kGlm4,
  kBert,  ///< Gives vectors only, those of the first token.
};
enum class WeightType : uint8_t {
  kF32,
  kF16,
  kQ8_0,  // NOLINT(readability-identifier-naming): ggml's name
};

/// A model of random weights. Its answers mean nothing, but it loads, tokenises any text without
/// loss, obeys its chat template, depends on its prompt and ends now and then: all that tests and
/// benchmarks of an engine need.
struct ModelSpec {
  Arch arch = Arch::kLlama;
  uint64_t seed = 1;        ///< The same spec gives the same bytes on every machine.
  uint32_t layers = 2;      ///< [1, 512]
  uint32_t embd = 64;       ///< Width, [8, 16384]; a multiple of `heads`.
  uint32_t heads = 4;       ///< embd / heads is a multiple of 4.
  uint32_t kv_heads = 2;    ///< Divides `heads`.
  uint32_t ff = 128;        ///< Width of the feed-forward part, [8, 131072].
  uint32_t context = 2048;  ///< Tokens the model claims to be trained for, [16, 2^20].
  uint32_t vocab =
      0;  ///< 0: as many as needed (about 900); more: padded with unused tokens, <= 2^20.
  bool tools = false;                  ///< The chat template shows tools and how they are called.
  WeightType type = WeightType::kF16;  ///< kQ8_0 needs embd and ff to be multiples of 32.
};

/// "tiny" (below 1 MB) or "150m" (150 million parameters, 32,000 tokens, context 8192).
std::optional<ModelSpec> Preset(std::string_view name);
std::optional<Arch> ParseArch(std::string_view name);

/// A model whose weights come from training (ReadTrainedModel reads one).
struct TrainedModel {
  std::string name;
  ModelSpec spec;  ///< `seed` and `vocab` mean nothing; `type` is what the file will hold.
  Vocabulary vocabulary;
  NamedTensors weights;  ///< By GGUF name, matrices [rows, columns]; output.weight may be absent.
};

/// Writes `path` (replaced as a whole; a crash leaves only `path`.partial). Blocks; memory stays
/// small. kInvalidArgument: the spec makes no model, `param` names the field. Else what the disk
/// says.
base::Result<> WriteModel(const ModelSpec& spec, const std::string& path);
/// The same with given weights. kInvalidArgument also: a tensor is missing, unknown, of another
/// shape than the sizes ask for, or has a value that is not finite in `spec.type`; `param` is its
/// name.
base::Result<> WriteTrainedModel(const TrainedModel& model, const std::string& path);

}  // namespace inferq::gguf
