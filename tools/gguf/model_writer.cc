#include "gguf/model_writer.h"

#include <ggml.h>
#include <gguf.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <span>
#include <vector>

#include "base/check.h"
#include "base/file_system.h"
#include "base/rng.h"
#include "gguf/vocabulary.h"

namespace inferq::gguf {
namespace {

using base::Code;
using base::Fail;
using base::Result;

constexpr float kLogitStd = 5;  // far enough apart that greedy choices rarely tie
constexpr size_t kChunkBytes = 4 << 20;
constexpr float kLargestF16 = 65504;
constexpr std::string_view kOutput = "output.weight";

using GgmlContext = std::unique_ptr<ggml_context, decltype(&ggml_free)>;
using GgufContext = std::unique_ptr<gguf_context, decltype(&gguf_free)>;

constexpr uint32_t kPoolFirstToken = 2;  // llama.cpp's LLAMA_POOLING_TYPE_CLS

std::string_view ArchName(Arch arch) {
  switch (arch) {
    case Arch::kLlama:
      return "llama";
    case Arch::kGlm4:
      return "glm4";
    case Arch::kBert:
      return "bert";
  }
  INFERQ_CHECK(false);
}

ggml_type GgmlType(WeightType type) {
  switch (type) {
    case WeightType::kF32:
      return GGML_TYPE_F32;
    case WeightType::kF16:
      return GGML_TYPE_F16;
    case WeightType::kQ8_0:
      return GGML_TYPE_Q8_0;
  }
  INFERQ_CHECK(false);
}

/// llama.cpp's llama_ftype, for the file's description of itself.
uint32_t FileType(WeightType type) {
  return type == WeightType::kF32 ? 0 : type == WeightType::kF16 ? 1 : 7;
}

std::unexpected<base::Error> Invalid(std::string_view param, std::string message) {
  return std::unexpected(
      base::Error(Code::kInvalidArgument, std::move(message)).WithParam(std::string(param)));
}

Result<> CheckRange(std::string_view param, uint32_t value, uint32_t low, uint32_t high) {
  if (value >= low && value <= high) return {};
  return Invalid(param, fmt::format("{} is {}; it must be in [{}, {}]", param, value, low, high));
}

Result<> CheckShape(const ModelSpec& spec) {
  if (spec.embd % spec.heads != 0 || spec.embd / spec.heads % 4 != 0)
    return Invalid("heads", fmt::format("embd / heads is {} / {}; it must be a multiple of 4",
                                        spec.embd, spec.heads));
  if (spec.heads % spec.kv_heads != 0)
    return Invalid("kv_heads",
                   fmt::format("kv_heads {} does not divide heads {}", spec.kv_heads, spec.heads));
  if (spec.type == WeightType::kQ8_0 && (spec.embd % 32 != 0 || spec.ff % 32 != 0))
    return Invalid("type", fmt::format("q8_0 needs multiples of 32: embd is {}, ff is {}",
                                       spec.embd, spec.ff));
  return {};
}

Result<> CheckSizes(const ModelSpec& spec) {
  INFERQ_TRY(CheckRange("layers", spec.layers, 1, 512));
  INFERQ_TRY(CheckRange("embd", spec.embd, 8, 16384));
  INFERQ_TRY(CheckRange("heads", spec.heads, 1, spec.embd));
  INFERQ_TRY(CheckRange("kv_heads", spec.kv_heads, 1, spec.heads));
  INFERQ_TRY(CheckRange("ff", spec.ff, 8, 131072));
  INFERQ_TRY(CheckRange("context", spec.context, 16, 1 << 20));
  return CheckShape(spec);
}

Result<> Check(const ModelSpec& spec) {
  INFERQ_TRY(CheckSizes(spec));
  auto needed = static_cast<uint32_t>(MakeVocabulary(0).tokens.size());
  return spec.vocab == 0 ? Result<>() : CheckRange("vocab", spec.vocab, needed, 1 << 20);
}

/// One tensor of the file, and how a random model draws its values.
struct TensorPlan {
  std::string name;
  uint32_t columns = 0;
  uint32_t rows = 0;  ///< 0: a vector (norm weights), always f32; of one value in a random model.
  float std = 0;
  std::span<const float> row_gain;  ///< Empty: 1 for every row.
  float value = 1;                  ///< Of a vector's elements.
};

/// The tensors in file order. `token_gain` outlives the plans.
class Planner {
 public:
  Planner(const ModelSpec& spec, std::span<const float> token_gain)
      : spec_(spec), token_gain_(token_gain) {}

  std::vector<TensorPlan> Plan() && {
    auto vocab = static_cast<uint32_t>(token_gain_.size());
    plans_.push_back({"token_embd.weight", spec_.embd, vocab, 1, {}});
    if (spec_.arch == Arch::kBert) return PlanBert();
    for (uint32_t layer = 0; layer < spec_.layers; ++layer) AddLayer(fmt::format("blk.{}.", layer));
    AddNorm("output_norm.weight");
    plans_.push_back(
        {std::string(kOutput), spec_.embd, vocab, kLogitStd * PerInput(spec_.embd), token_gain_});
    return std::move(plans_);
  }

 private:
  std::vector<TensorPlan> PlanBert() {
    plans_.push_back({"position_embd.weight", spec_.embd, spec_.context, 0.3F, {}});
    AddNormWithBias("token_embd_norm");
    for (uint32_t layer = 0; layer < spec_.layers; ++layer) {
      const std::string prefix = fmt::format("blk.{}.", layer);
      AddAttention(prefix);
      AddNormWithBias(prefix + "attn_output_norm");
      AddMatrix(prefix + "ffn_up.weight", spec_.embd, spec_.ff, 1);
      AddMatrix(prefix + "ffn_down.weight", spec_.ff, spec_.embd, 2);
      AddNormWithBias(prefix + "layer_output_norm");
    }
    return std::move(plans_);
  }

  void AddNormWithBias(const std::string& name) {
    AddNorm(name + ".weight");
    plans_.push_back({name + ".bias", spec_.embd, 0, 0, {}, 0});
  }

  static float PerInput(uint32_t inputs) { return 1 / std::sqrt(static_cast<float>(inputs)); }

  void AddNorm(std::string name) { plans_.push_back({std::move(name), spec_.embd, 0, 0, {}}); }
  void AddMatrix(std::string name, uint32_t columns, uint32_t rows, float gain) {
    plans_.push_back({std::move(name), columns, rows, gain * PerInput(columns), {}});
  }

  // The gains keep each part's contribution near the size of the embedding and attention selective;
  // else the next token would depend on the last one only, and greedy answers would run in circles.
  void AddLayer(const std::string& prefix) {
    AddNorm(prefix + "attn_norm.weight");
    AddAttention(prefix);
    AddNorm(prefix + "ffn_norm.weight");
    AddFeedForward(prefix);
  }

  void AddAttention(const std::string& prefix) {
    uint32_t kv = spec_.embd / spec_.heads * spec_.kv_heads;
    AddMatrix(prefix + "attn_q.weight", spec_.embd, spec_.embd, 1.6F);
    AddMatrix(prefix + "attn_k.weight", spec_.embd, kv, 1.6F);
    AddMatrix(prefix + "attn_v.weight", spec_.embd, kv, 1);
    AddMatrix(prefix + "attn_output.weight", spec_.embd, spec_.embd, 2);
  }

  void AddFeedForward(const std::string& prefix) {
    if (spec_.arch == Arch::kGlm4) {  // gate and up in one matrix; both parts are normed again
                                      // before they are added
      AddNorm(prefix + "post_attention_norm.weight");
      AddMatrix(prefix + "ffn_up.weight", spec_.embd, 2 * spec_.ff, 1);
      AddNorm(prefix + "post_ffw_norm.weight");
    } else {
      AddMatrix(prefix + "ffn_gate.weight", spec_.embd, spec_.ff, 1);
      AddMatrix(prefix + "ffn_up.weight", spec_.embd, spec_.ff, 1);
    }
    AddMatrix(prefix + "ffn_down.weight", spec_.ff, spec_.embd, 2);
  }

  const ModelSpec& spec_;
  std::span<const float> token_gain_;
  std::vector<TensorPlan> plans_;
};

void SetStrings(gguf_context* file, const char* key, const std::vector<std::string>& values) {
  std::vector<const char*> pointers;
  for (const std::string& value : values) pointers.push_back(value.c_str());
  gguf_set_arr_str(file, key, pointers.data(), pointers.size());
}

void SetTokenizer(gguf_context* file, const Vocabulary& vocabulary) {
  std::vector<std::string> texts;
  std::vector<int32_t> kinds;
  for (const Token& token : vocabulary.tokens) {
    texts.push_back(token.text);
    kinds.push_back(static_cast<int32_t>(token.kind));
  }
  auto end_of_text = static_cast<uint32_t>(vocabulary.end_of_text);
  gguf_set_val_str(file, "tokenizer.ggml.model", "gpt2");
  gguf_set_val_str(file, "tokenizer.ggml.pre", "glm4");
  SetStrings(file, "tokenizer.ggml.tokens", texts);
  gguf_set_arr_data(file, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, kinds.data(), kinds.size());
  SetStrings(file, "tokenizer.ggml.merges", vocabulary.merges);
  gguf_set_val_u32(file, "tokenizer.ggml.eos_token_id", end_of_text);
  gguf_set_val_u32(file, "tokenizer.ggml.padding_token_id", end_of_text);
  gguf_set_val_u32(file, "tokenizer.ggml.eot_token_id",
                   static_cast<uint32_t>(vocabulary.end_of_turn));
  gguf_set_val_bool(file, "tokenizer.ggml.add_bos_token", false);
}

// What generates has a template, what embeds a way of pooling.
void SetKind(gguf_context* file, const ModelSpec& spec) {
  const std::string arch(ArchName(spec.arch));
  if (spec.arch != Arch::kBert) {
    const std::string chat = spec.tools ? ToolChatTemplate() : ChatTemplate();
    return gguf_set_val_str(file, "tokenizer.chat_template", chat.c_str());
  }
  gguf_set_val_u32(file, "tokenizer.ggml.token_type_count", 1);
  gguf_set_val_f32(file, (arch + ".attention.layer_norm_epsilon").c_str(), 1e-5F);
  gguf_set_val_bool(file, (arch + ".attention.causal").c_str(), false);
  gguf_set_val_u32(file, (arch + ".pooling_type").c_str(), kPoolFirstToken);
}

void SetHyperparameters(gguf_context* file, const ModelSpec& spec, const std::string& name,
                        size_t vocab) {
  std::string arch(ArchName(spec.arch));
  auto set = [&](const char* key, size_t value) {
    gguf_set_val_u32(file, (arch + key).c_str(), static_cast<uint32_t>(value));
  };
  uint32_t head = spec.embd / spec.heads;
  gguf_set_val_str(file, "general.architecture", arch.c_str());
  gguf_set_val_str(file, "general.name", name.c_str());
  gguf_set_val_u32(file, "general.file_type", FileType(spec.type));
  gguf_set_val_u32(file, "general.quantization_version", 2);
  set(".vocab_size", vocab);
  set(".context_length", spec.context);
  set(".embedding_length", spec.embd);
  set(".block_count", spec.layers);
  set(".feed_forward_length", spec.ff);
  set(".attention.head_count", spec.heads);
  set(".attention.head_count_kv", spec.kv_heads);
  set(".rope.dimension_count", spec.arch == Arch::kGlm4 ? head / 2 : head);
  gguf_set_val_f32(file, (arch + ".attention.layer_norm_rms_epsilon").c_str(), 1e-5F);
  gguf_set_val_f32(file, (arch + ".rope.freq_base").c_str(), 10000);
}

void AddTensors(gguf_context* file, WeightType type, const std::vector<TensorPlan>& plans) {
  GgmlContext tensors(ggml_init({.mem_size = ggml_tensor_overhead() * (plans.size() + 1),
                                 .mem_buffer = nullptr,
                                 .no_alloc = true}),
                      &ggml_free);
  for (const TensorPlan& plan : plans) {
    ggml_tensor* tensor =
        plan.rows == 0 ? ggml_new_tensor_1d(tensors.get(), GGML_TYPE_F32, plan.columns)
                       : ggml_new_tensor_2d(tensors.get(), GgmlType(type), plan.columns, plan.rows);
    ggml_set_name(tensor, plan.name.c_str());
    gguf_add_tensor(file, tensor);
  }
}

/// A tensor's values depend on the model's seed and its name alone (FNV-1a).
base::Rng RngFor(uint64_t seed, std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return base::Rng(seed ^ hash);
}

/// Uniform with the given standard deviation; sums of many such are normal.
void FillRow(base::Rng& rng, float std, std::span<float> row) {
  float scale = std * std::sqrt(3.0F) * 0x1p-31F;
  for (size_t i = 0; i < row.size(); i += 2) {
    uint64_t bits = rng.Next();
    row[i] = scale * static_cast<float>(static_cast<int32_t>(bits));
    if (i + 1 < row.size())
      row[i + 1] = scale * static_cast<float>(static_cast<int32_t>(bits >> 32));
  }
}

/// Fills `values` with whole rows of a tensor, from row `first` on; a vector is one row. Called
/// tensor after tensor and row after row.
using Rows = std::function<void(const TensorPlan&, size_t first, std::span<float> values)>;

class RandomRows {
 public:
  explicit RandomRows(uint64_t seed) : seed_(seed) {}

  void operator()(const TensorPlan& plan, size_t first, std::span<float> values) {
    if (plan.rows == 0) {
      std::ranges::fill(values, plan.value);
      return;
    }
    if (first == 0) rng_ = RngFor(seed_, plan.name);
    for (size_t i = 0; i * plan.columns < values.size(); ++i) {
      float gain = plan.row_gain.empty() ? 1.0F : plan.row_gain[first + i];
      FillRow(rng_, plan.std * gain, values.subspan(i * plan.columns, plan.columns));
    }
  }

 private:
  uint64_t seed_;
  base::Rng rng_{0};
};

/// Rows of tensors that CheckWeights found right.
class TrainedRows {
 public:
  explicit TrainedRows(const NamedTensors& weights) : weights_(&weights) {}

  void operator()(const TensorPlan& plan, size_t first, std::span<float> values) const {
    const std::vector<float>& all = weights_->at(plan.name).values;
    std::ranges::copy(std::span(all).subspan(first * plan.columns, values.size()), values.begin());
  }

 private:
  const NamedTensors* weights_;
};

Result<> CheckWeight(const NamedTensor& tensor, const TensorPlan& plan, WeightType type) {
  std::vector<uint64_t> shape = plan.rows == 0 ? std::vector<uint64_t>{plan.columns}
                                               : std::vector<uint64_t>{plan.rows, plan.columns};
  if (tensor.shape != shape)
    return Invalid(plan.name,
                   fmt::format("tensor {} has the shape [{}]; it must be [{}]", plan.name,
                               fmt::join(tensor.shape, ", "), fmt::join(shape, ", ")));
  bool is_f32 = plan.rows == 0 || type == WeightType::kF32;
  float limit = is_f32 ? std::numeric_limits<float>::max() : kLargestF16;
  auto wrong =
      std::ranges::find_if(tensor.values, [&](float v) { return !(std::abs(v) <= limit); });
  if (wrong == tensor.values.end()) return {};
  return Invalid(plan.name, fmt::format("tensor {} has the value {} at {}; it must be within {}",
                                        plan.name, *wrong, wrong - tensor.values.begin(), limit));
}

/// Every planned tensor is there, as planned, and no other.
Result<> CheckWeights(const NamedTensors& weights, const std::vector<TensorPlan>& plans,
                      WeightType type) {
  std::set<std::string_view> planned;
  for (const TensorPlan& plan : plans) {
    planned.insert(plan.name);
    auto found = weights.find(plan.name);
    if (found == weights.end())
      return Invalid(plan.name, fmt::format("tensor {} is missing", plan.name));
    INFERQ_TRY(CheckWeight(found->second, plan, type));
  }
  for (const auto& [name, tensor] : weights)
    if (!planned.contains(name))
      return Invalid(name, fmt::format("tensor {} has no place in this architecture", name));
  return {};
}

Result<> WriteVector(base::File& file, uint64_t offset, const TensorPlan& plan, const Rows& rows) {
  std::vector<float> values(plan.columns);
  rows(plan, 0, values);
  return file.WriteAt(offset,
                      {reinterpret_cast<const char*>(values.data()), plan.columns * sizeof(float)});
}

Result<> WriteMatrix(base::File& file, uint64_t offset, const TensorPlan& plan, ggml_type type,
                     const Rows& source) {
  size_t row_bytes = ggml_row_size(type, plan.columns);
  size_t rows_per_chunk = std::max<size_t>(1, kChunkBytes / row_bytes);
  std::vector<float> values(rows_per_chunk * plan.columns);
  std::vector<char> encoded(rows_per_chunk * row_bytes);
  for (size_t first = 0; first < plan.rows; first += rows_per_chunk) {
    size_t rows = std::min<size_t>(rows_per_chunk, plan.rows - first);
    source(plan, first, std::span(values).first(rows * plan.columns));
    ggml_quantize_chunk(type, values.data(), encoded.data(), 0, static_cast<int64_t>(rows),
                        plan.columns, nullptr);
    INFERQ_TRY(file.WriteAt(offset + first * row_bytes, {encoded.data(), rows * row_bytes}));
  }
  return {};
}

/// Metadata first, then the tensors where it says.
Result<> WriteContents(base::File& file, const gguf_context* header, ggml_type type,
                       const std::vector<TensorPlan>& plans, const Rows& rows) {
  std::vector<char> meta(gguf_get_meta_size(header));
  gguf_get_meta_data(header, meta.data());
  INFERQ_TRY(file.Truncate(0));
  INFERQ_TRY(file.WriteAt(0, {meta.data(), meta.size()}));
  uint64_t end = meta.size();
  for (size_t i = 0; i < plans.size(); ++i) {
    auto id = static_cast<int64_t>(i);
    uint64_t offset = meta.size() + gguf_get_tensor_offset(header, id);
    INFERQ_TRY(plans[i].rows == 0 ? WriteVector(file, offset, plans[i], rows)
                                  : WriteMatrix(file, offset, plans[i], type, rows));
    end = offset + GGML_PAD(gguf_get_tensor_size(header, id), gguf_get_alignment(header));
  }
  INFERQ_TRY(file.Truncate(end));
  return file.Sync();
}

Result<> WriteFile(const ModelSpec& spec, const std::string& name, const Vocabulary& vocabulary,
                   const std::vector<TensorPlan>& plans, const Rows& rows,
                   const std::string& path) {
  GgufContext header(gguf_init_empty(), &gguf_free);
  SetHyperparameters(header.get(), spec, name, vocabulary.tokens.size());
  SetTokenizer(header.get(), vocabulary);
  SetKind(header.get(), spec);
  AddTensors(header.get(), spec.type, plans);

  base::FileSystem& fs = base::PosixFileSystem();
  std::string partial = path + ".partial";
  {
    INFERQ_ASSIGN(auto file, fs.Open(partial, base::OpenMode::kReadWrite));
    INFERQ_TRY(WriteContents(*file, header.get(), GgmlType(spec.type), plans, rows));
  }
  INFERQ_TRY(fs.Rename(partial, path));
  return fs.SyncDirectory(base::DirectoryOf(path));
}

/// How much larger a random model makes the logit of each token.
std::vector<float> Gains(const Vocabulary& vocabulary) {
  std::vector<float> gains;
  for (const Token& token : vocabulary.tokens) gains.push_back(token.gain);
  return gains;
}

}  // namespace

std::optional<ModelSpec> Preset(std::string_view name) {
  if (name == "tiny") return ModelSpec{};
  if (name == "150m")
    return ModelSpec{.layers = 16,
                     .embd = 768,
                     .heads = 12,
                     .kv_heads = 4,
                     .ff = 2048,
                     .context = 8192,
                     .vocab = 32000};
  return std::nullopt;
}

std::optional<Arch> ParseArch(std::string_view name) {
  if (name == "llama") return Arch::kLlama;
  if (name == "glm4") return Arch::kGlm4;
  if (name == "bert") return Arch::kBert;
  return std::nullopt;
}

Result<> WriteModel(const ModelSpec& spec, const std::string& path) {
  INFERQ_TRY(Check(spec));
  Vocabulary vocabulary = MakeVocabulary(spec.vocab);
  std::vector<float> gains = Gains(vocabulary);
  std::string name = fmt::format("inferq random {} seed {}", ArchName(spec.arch), spec.seed);
  return WriteFile(spec, name, vocabulary, Planner(spec, gains).Plan(), RandomRows(spec.seed),
                   path);
}

Result<> WriteTrainedModel(const TrainedModel& model, const std::string& path) {
  INFERQ_TRY(CheckSizes(model.spec));
  std::vector<float> gains = Gains(model.vocabulary);
  std::vector<TensorPlan> plans = Planner(model.spec, gains).Plan();
  if (!model.weights.contains(kOutput))  // libllama then takes token_embd.weight
    std::erase_if(plans, [](const TensorPlan& plan) { return plan.name == kOutput; });
  INFERQ_TRY(CheckWeights(model.weights, plans, model.spec.type));
  return WriteFile(model.spec, model.name, model.vocabulary, plans, TrainedRows(model.weights),
                   path);
}

}  // namespace inferq::gguf
