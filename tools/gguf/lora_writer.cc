#include "gguf/lora_writer.h"

#include <ggml.h>
#include <gguf.h>

#include <cmath>
#include <memory>
#include <span>
#include <vector>

#include "base/file_system.h"
#include "base/rng.h"

namespace inferq::gguf {
namespace {

using base::Code;
using base::Fail;
using base::Result;
using GgmlContext = std::unique_ptr<ggml_context, decltype(&ggml_free)>;
using GgufContext = std::unique_ptr<gguf_context, decltype(&gguf_free)>;

// A model's header with its tensors' shapes, without their contents.
struct Shapes {
  GgmlContext tensors{nullptr, &ggml_free};
  GgufContext file{nullptr, &gguf_free};
};

Result<Shapes> ReadShapes(const std::string& path) {
  Shapes shapes;
  ggml_context* tensors = nullptr;
  shapes.file.reset(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = &tensors}));
  shapes.tensors.reset(tensors);
  const bool is_model =
      shapes.file && gguf_find_key(shapes.file.get(), "general.architecture") >= 0;
  if (is_model) return shapes;
  return Fail(Code::kInvalidArgument, "{} is no model that an adapter could be made for", path);
}

bool IsLayerMatrix(const ggml_tensor& tensor) {
  const std::string_view name = tensor.name;
  return name.starts_with("blk.") && name.ends_with(".weight") && ggml_n_dims(&tensor) == 2;
}

void AddMatrix(ggml_context* tensors, gguf_context* file, const std::string& name, int64_t columns,
               int64_t rows, float std, base::Rng& rng) {
  ggml_tensor* tensor = ggml_new_tensor_2d(tensors, GGML_TYPE_F32, columns, rows);
  ggml_set_name(tensor, name.c_str());
  const float range = std * std::sqrt(3.0F);  // uniform with that standard deviation
  for (float& value :
       std::span(static_cast<float*>(tensor->data), static_cast<size_t>(columns * rows))) {
    value = range * (2 * static_cast<float>(rng.Uniform()) - 1);
  }
  gguf_add_tensor(file, tensor);
}

void AddPair(ggml_context* tensors, gguf_context* file, const ggml_tensor& matrix,
             const LoraSpec& spec, base::Rng& rng) {
  const std::string name = matrix.name;
  const int64_t inputs = matrix.ne[0];
  const int64_t outputs = matrix.ne[1];
  const auto size = [](auto number) { return std::sqrt(static_cast<float>(number)); };
  AddMatrix(tensors, file, name + ".lora_a", inputs, spec.rank, 1 / size(inputs), rng);
  AddMatrix(tensors, file, name + ".lora_b", spec.rank, outputs, spec.strength / size(spec.rank),
            rng);
}

size_t BytesOf(const Shapes& model, const LoraSpec& spec) {
  size_t bytes = 0;
  for (auto* t = ggml_get_first_tensor(model.tensors.get()); t != nullptr;
       t = ggml_get_next_tensor(model.tensors.get(), t)) {
    if (IsLayerMatrix(*t))
      bytes += 2 * (ggml_tensor_overhead() + 64) +
               static_cast<size_t>(t->ne[0] + t->ne[1]) * spec.rank * sizeof(float);
  }
  return bytes + 1024;
}

}  // namespace

Result<> WriteLora(const LoraSpec& spec, const std::string& path) {
  if (spec.rank < 1 || spec.rank > 256) {
    return Fail(Code::kInvalidArgument, "rank is {}; it must be in [1, 256]", spec.rank);
  }
  INFERQ_ASSIGN(const Shapes model, ReadShapes(spec.model));
  const GgufContext file(gguf_init_empty(), &gguf_free);
  const int64_t key = gguf_find_key(model.file.get(), "general.architecture");
  gguf_set_val_str(file.get(), "general.architecture", gguf_get_val_str(model.file.get(), key));
  gguf_set_val_str(file.get(), "general.type", "adapter");
  gguf_set_val_str(file.get(), "general.name", "inferq random adapter");
  gguf_set_val_str(file.get(), "adapter.type", "lora");
  gguf_set_val_f32(file.get(), "adapter.lora.alpha", static_cast<float>(spec.rank));

  const GgmlContext tensors(
      ggml_init({.mem_size = BytesOf(model, spec), .mem_buffer = nullptr, .no_alloc = false}),
      &ggml_free);
  base::Rng rng(spec.seed);
  for (auto* t = ggml_get_first_tensor(model.tensors.get()); t != nullptr;
       t = ggml_get_next_tensor(model.tensors.get(), t)) {
    if (IsLayerMatrix(*t)) AddPair(tensors.get(), file.get(), *t, spec, rng);
  }
  const std::string partial = path + ".partial";
  if (!gguf_write_to_file(file.get(), partial.c_str(), false)) {
    return Fail(Code::kUnavailable, "cannot write {}", partial);
  }
  return base::PosixFileSystem().Rename(partial, path);
}

}  // namespace inferq::gguf
