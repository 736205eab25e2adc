#include "engine/llama/embedder.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace inferq::engine::llama {
namespace {

using base::Code;
using base::Error;
using base::Fail;
using base::Result;

constexpr size_t kRunTokens = 512;  // more at once is hardly faster and holds up generation

Embedding Failed(const EmbedInput& input, const Error& error) {
  Embedding result{.id = input.id, .index = input.index, .tokens = 0, .vector = {}, .error = {}};
  result.error = RequestError{error.code(), error.message(), error.param()};
  return result;
}

std::string MetaOf(const llama_model* model, const std::string& key) {
  std::string value(128, '\0');
  const int32_t length = llama_model_meta_val_str(model, key.c_str(), value.data(), value.size());
  value.resize(static_cast<size_t>(std::clamp<int32_t>(length, 0, 127)));
  return value;
}

void Normalize(std::vector<float>& vector) {
  double squares = 0;
  for (float value : vector) squares += double{value} * value;
  if (squares == 0) return;
  const double scale = 1 / std::sqrt(squares);
  for (float& value : vector) value = static_cast<float>(value * scale);
}

}  // namespace

Embedder::Embedder(const Model& model, EmbedOptions options,
                   std::function<void(std::vector<uint64_t>)> on_start)
    : model_(model), options_(options), on_start_(std::move(on_start)) {}

Embedder::~Embedder() = default;

void Embedder::Submit(Embed batch) {
  Batch& queued = queue_.emplace_back();
  queued.number = batch.batch;
  for (EmbedInput& input : batch.inputs) queued.inputs.push_back({std::move(input), {}});
}

void Embedder::Cancel(uint64_t id) {
  for (Batch& batch : queue_) {
    std::erase_if(batch.inputs, [id](const Input& input) { return input.input.id == id; });
  }
}

enum llama_pooling_type Embedder::PoolingType() const {
  switch (options_.pooling) {
    case Pooling::kMean:
      return LLAMA_POOLING_TYPE_MEAN;
    case Pooling::kCls:
      return LLAMA_POOLING_TYPE_CLS;
    case Pooling::kLast:
      return LLAMA_POOLING_TYPE_LAST;
    case Pooling::kModel:
      break;
  }
  const std::string arch = MetaOf(model_.weights(), "general.architecture");
  const std::string type = MetaOf(model_.weights(), arch + ".pooling_type");
  const bool says_nothing = type.empty() || type == "0";
  return says_nothing ? LLAMA_POOLING_TYPE_MEAN : LLAMA_POOLING_TYPE_UNSPECIFIED;
}

Result<> Embedder::MakeContext() {
  const Hello& facts = model_.facts();
  llama_context_params params = llama_context_default_params();
  params.embeddings = true;
  params.pooling_type = PoolingType();
  // llama.cpp wants room for a token of each sequence.
  params.n_ctx = std::max(static_cast<uint32_t>(facts.embed_tokens), kMaxSlots);
  params.n_batch = params.n_ctx;
  params.n_ubatch = params.n_ctx;  // a vector is made of tokens of one run only
  params.n_seq_max = kMaxSlots;
  params.kv_unified = true;  // any input may have all of it
  params.n_threads = static_cast<int32_t>(facts.threads);
  params.n_threads_batch = params.n_threads;
  params.no_perf = true;
  context_.reset(llama_init_from_model(model_.weights(), params));
  if (!context_) {
    return Fail(Code::kResourceExhausted,
                "there is no memory for embeddings of {} tokens: lower embed_tokens, or give the "
                "machine more",
                facts.embed_tokens);
  }
  if (llama_pooling_type(context_.get()) != LLAMA_POOLING_TYPE_RANK)
    return model_.UseAdapter(context_.get());
  context_.reset();
  return Fail(Code::kInvalidArgument, "this model ranks texts and gives no embeddings of them");
}

// Tokenises. What cannot be run fails here, alone.
void Embedder::Begin(Batch& batch, Embedded& out) {
  batch.begun = true;
  std::set<uint64_t> ids;
  for (const Input& input : batch.inputs) ids.insert(input.input.id);
  on_start_({ids.begin(), ids.end()});
  Result<> context = context_ ? Result<>() : MakeContext();
  const auto width = static_cast<uint32_t>(llama_model_n_embd_out(model_.weights()));
  std::erase_if(batch.inputs, [&](Input& input) {
    Result<> fits = context;
    if (fits && input.input.dimensions > width) {
      fits = std::unexpected(
          Error(Code::kInvalidArgument, fmt::format("'body.dimensions' is {}; this model has {}",
                                                    input.input.dimensions, width))
              .WithParam("body.dimensions"));
    }
    if (fits) {
      auto tokens = model_.PrepareInput(input.input, model_.facts().embed_tokens);
      if (tokens) {
        input.tokens = *std::move(tokens);
        return false;
      }
      fits = std::unexpected(tokens.error());
    }
    out.results.push_back(Failed(input.input, fits.error()));
    return true;
  });
}

std::vector<Embedder::Input> Embedder::TakeRun(Batch& batch) const {
  std::vector<Input> run;
  size_t tokens = 0;
  const size_t most = std::min<size_t>(kRunTokens, llama_n_ubatch(context_.get()));
  while (!batch.inputs.empty() && run.size() < kMaxSlots) {
    tokens += batch.inputs.front().tokens.size();
    if (!run.empty() && tokens > most) break;
    run.push_back(std::move(batch.inputs.front()));
    batch.inputs.pop_front();
  }
  return run;
}

Result<Embedded> Embedder::Step() {
  Batch& batch = queue_.front();
  Embedded out{.batch = batch.number, .results = {}, .last = false};
  if (!batch.begun) Begin(batch, out);
  const std::vector<Input> run = batch.inputs.empty() ? std::vector<Input>() : TakeRun(batch);
  if (!run.empty()) INFERQ_TRY(Run(run, out));
  out.last = batch.inputs.empty();
  if (out.last) queue_.pop_front();
  return out;
}

Result<> Embedder::Run(std::span<const Input> inputs, Embedded& out) {
  INFERQ_TRY(Compute(inputs));
  for (size_t i = 0; i < inputs.size(); ++i) {
    out.results.push_back(Read(inputs[i], static_cast<llama_seq_id>(i)));
  }
  return {};
}

Result<> Embedder::Compute(std::span<const Input> inputs) {
  std::vector<llama_token> tokens;
  std::vector<llama_pos> positions;
  std::vector<llama_seq_id> sequences;
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (size_t position = 0; position < inputs[i].tokens.size(); ++position) {
      tokens.push_back(inputs[i].tokens[position]);
      positions.push_back(static_cast<llama_pos>(position));
      sequences.push_back(static_cast<llama_seq_id>(i));
    }
  }
  std::vector<int32_t> counts(tokens.size(), 1);
  std::vector<int8_t> outputs(tokens.size(), 1);
  std::vector<llama_seq_id*> pointers;
  for (llama_seq_id& sequence : sequences) pointers.push_back(&sequence);
  const llama_batch batch{.n_tokens = static_cast<int32_t>(tokens.size()),
                          .token = tokens.data(),
                          .embd = nullptr,
                          .pos = positions.data(),
                          .n_seq_id = counts.data(),
                          .seq_id = pointers.data(),
                          .logits = outputs.data()};
  if (llama_memory_t memory = llama_get_memory(context_.get())) llama_memory_clear(memory, false);
  const bool decodes = llama_model_has_decoder(model_.weights());
  const int32_t status =
      decodes ? llama_decode(context_.get(), batch) : llama_encode(context_.get(), batch);
  if (status == 0) return {};
  return Fail(Code::kInternal, "an embedding of {} tokens failed with status {}", tokens.size(),
              status);
}

Embedding Embedder::Read(const Input& input, llama_seq_id sequence) const {
  const float* values = llama_get_embeddings_seq(context_.get(), sequence);
  if (!values) return Failed(input.input, Error(Code::kInternal, "the model gave no vector"));
  auto width = static_cast<size_t>(llama_model_n_embd_out(model_.weights()));
  if (input.input.dimensions != 0) width = input.input.dimensions;
  Embedding result{.id = input.input.id,
                   .index = input.input.index,
                   .tokens = input.tokens.size(),
                   .vector = {values, values + width},
                   .error = {}};
  if (!std::ranges::all_of(result.vector, [](float value) { return std::isfinite(value); })) {
    return Failed(input.input, Error(Code::kInternal, "the model's vector is not finite"));
  }
  if (options_.normalize) Normalize(result.vector);
  return result;
}

}  // namespace inferq::engine::llama
