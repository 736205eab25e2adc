#include "engine/llama/protocol.h"

#include <array>
#include <bit>
#include <cstring>

#include "engine/llama/codec.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using base::Fail;
using base::Result;

constexpr auto kLastCode = static_cast<uint64_t>(Code::kDeadlineExceeded);
constexpr auto kLastEndpoint = static_cast<uint64_t>(Endpoint::kCompletions);
constexpr auto kLastToolChoice = static_cast<uint64_t>(wire::ToolChoice::kRequired);
constexpr auto kLastFinish = static_cast<uint64_t>(FinishReason::kCancelled);

// The fields of each message: Put writes them, Get reads the one that the reader stands at. A
// member of one struct sees all the others, so nested messages need no order. False: damage inside
// a nested one.
struct Fields {
  template <class T>
  static std::string Nested(const T& m) {
    FieldWriter out;
    Put(out, m);
    return std::move(out).Take();
  }

  template <class T>
  static bool GetAll(std::string_view bytes, T& m) {
    FieldReader in(bytes);
    bool ok = true;
    while (ok && in.Next()) ok = Get(in, m);
    return ok && in.ok();
  }

  static void PutOptional(FieldWriter& out, uint32_t field, const std::optional<uint64_t>& value) {
    if (value) out.Uint(field, *value);
  }

  // Numbers of 4 bytes, little endian.
  template <class T>
  static void PutAll(FieldWriter& out, uint32_t field, const std::vector<T>& values) {
    static_assert(sizeof(T) == 4 && std::endian::native == std::endian::little);
    if (values.empty()) return;
    out.Bytes(field, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
  }
  template <class T>
  static bool GetAllOf(FieldReader& in, std::vector<T>& values) {
    const std::string_view bytes = in.Bytes();
    values.resize(bytes.size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return bytes.size() % sizeof(T) == 0;
  }

  static uint32_t Uint32(FieldReader& in) { return static_cast<uint32_t>(in.UintUpTo(UINT32_MAX)); }

  static void Put(FieldWriter& out, const Hello& m) {
    out.Uint(1, m.version);
    out.Bytes(2, m.model);
    out.Uint(3, m.context_tokens);
    out.Uint(4, m.slots);
    out.Uint(5, m.threads);
    out.Uint(6, m.batch_tokens);
    out.Uint(7, m.vocabulary);
    out.Uint(8, m.parameters);
    out.Uint(9, m.has_chat_template);
    out.Uint(10, m.embed_tokens);
  }
  static bool Get(FieldReader& in, Hello& m) {
    switch (in.field()) {
      case 1:
        m.version = Uint32(in);
        break;
      case 2:
        m.model = in.Bytes();
        break;
      case 3:
        m.context_tokens = in.Uint();
        break;
      case 4:
        m.slots = Uint32(in);
        break;
      case 5:
        m.threads = Uint32(in);
        break;
      case 6:
        m.batch_tokens = Uint32(in);
        break;
      case 7:
        m.vocabulary = in.Uint();
        break;
      case 8:
        m.parameters = in.Uint();
        break;
      case 9:
        m.has_chat_template = in.UintUpTo(1) == 1;
        break;
      case 10:
        m.embed_tokens = in.Uint();
        break;
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const LoadError& m) {
    out.Uint(1, static_cast<uint64_t>(m.code));
    out.Bytes(2, m.message);
    out.Uint(3, m.permanent);
  }
  static bool Get(FieldReader& in, LoadError& m) {
    switch (in.field()) {
      case 1:
        m.code = static_cast<Code>(in.UintUpTo(kLastCode));
        break;
      case 2:
        m.message = in.Bytes();
        break;
      case 3:
        m.permanent = in.UintUpTo(1) == 1;
        break;
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const wire::ToolCall& m) {
    out.Bytes(1, m.id);
    out.Bytes(2, m.name);
    out.Bytes(3, m.arguments);
  }
  static bool Get(FieldReader& in, wire::ToolCall& m) {
    switch (in.field()) {
      case 1:
        m.id = in.Bytes();
        break;
      case 2:
        m.name = in.Bytes();
        break;
      case 3:
        m.arguments = in.Bytes();
        break;
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const wire::TokenScore& m) {
    out.Bytes(1, m.bytes);
    out.Double(2, m.logprob);
  }
  static bool Get(FieldReader& in, wire::TokenScore& m) {
    if (in.field() == 1) m.bytes = in.Bytes();
    if (in.field() == 2) m.logprob = in.Double();
    return true;
  }

  static void Put(FieldWriter& out, const wire::TokenLogprob& m) {
    out.Bytes(1, Nested(m.token));
    out.Uint(2, m.offset);
    for (const wire::TokenScore& score : m.top) out.Bytes(3, Nested(score));
  }
  static bool Get(FieldReader& in, wire::TokenLogprob& m) {
    switch (in.field()) {
      case 1:
        return GetAll(in.Bytes(), m.token);
      case 2:
        m.offset = in.Uint();
        break;
      case 3:
        return GetAll(in.Bytes(), m.top.emplace_back());
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const LogitBias& m) {
    out.Uint(1, static_cast<uint64_t>(m.token));
    out.Double(2, m.bias);
  }
  static bool Get(FieldReader& in, LogitBias& m) {
    if (in.field() == 1) m.token = static_cast<int32_t>(in.UintUpTo(INT32_MAX));
    if (in.field() == 2) m.bias = in.Double();
    return true;
  }

  static void Put(FieldWriter& out, const ChatMessage& m) {
    out.Bytes(1, m.role);
    out.Bytes(2, m.content);
    for (const wire::ToolCall& call : m.tool_calls) out.Bytes(3, Nested(call));
    out.Bytes(4, m.tool_call_id);
    out.Bytes(5, m.name);
  }
  static bool Get(FieldReader& in, ChatMessage& m) {
    switch (in.field()) {
      case 1:
        m.role = in.Bytes();
        break;
      case 2:
        m.content = in.Bytes();
        break;
      case 3:
        return GetAll(in.Bytes(), m.tool_calls.emplace_back());
      case 4:
        m.tool_call_id = in.Bytes();
        break;
      case 5:
        m.name = in.Bytes();
        break;
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const SamplingParams& m) {
    out.Double(1, m.temperature);
    out.Double(2, m.top_p);
    out.Uint(3, m.top_k);
    out.Double(4, m.min_p);
    PutOptional(out, 5, m.seed);
    out.Double(6, m.repeat_penalty);
    out.Double(7, m.frequency_penalty);
    out.Double(8, m.presence_penalty);
    for (const LogitBias& bias : m.logit_bias) out.Bytes(9, Nested(bias));
  }
  static bool Get(FieldReader& in, SamplingParams& m) {
    switch (in.field()) {
      case 1:
        m.temperature = in.Double();
        break;
      case 2:
        m.top_p = in.Double();
        break;
      case 3:
        m.top_k = Uint32(in);
        break;
      case 4:
        m.min_p = in.Double();
        break;
      case 5:
        m.seed = in.Uint();
        break;
      case 6:
        m.repeat_penalty = in.Double();
        break;
      case 7:
        m.frequency_penalty = in.Double();
        break;
      case 8:
        m.presence_penalty = in.Double();
        break;
      case 9:
        return GetAll(in.Bytes(), m.logit_bias.emplace_back());
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const GenerateRequest& m) {
    out.Uint(1, static_cast<uint64_t>(m.endpoint));
    for (const ChatMessage& message : m.messages) out.Bytes(2, Nested(message));
    out.Bytes(3, m.prompt);
    out.Bytes(4, Nested(m.sampling));
    PutOptional(out, 5, m.max_tokens);
    for (const std::string& stop : m.stop) out.Bytes(6, stop);
    out.Uint(7, m.ignore_eos);
    out.Uint(8, m.n);
    out.Uint(9, m.interactive);
    out.Uint(10, m.logprobs);
    out.Uint(11, m.top_logprobs);
    out.Bytes(12, m.json_schema);
    out.Bytes(13, m.grammar);
    out.Bytes(14, m.tools);
    out.Uint(15, static_cast<uint64_t>(m.tool_choice));
    if (m.parallel_tool_calls) out.Uint(16, *m.parallel_tool_calls);
  }
  static bool Get(FieldReader& in, GenerateRequest& m) {
    switch (in.field()) {
      case 1:
        m.endpoint = static_cast<Endpoint>(in.UintUpTo(kLastEndpoint));
        break;
      case 2:
        return GetAll(in.Bytes(), m.messages.emplace_back());
      case 3:
        m.prompt = in.Bytes();
        break;
      case 4:
        return GetAll(in.Bytes(), m.sampling);
      case 5:
        m.max_tokens = in.Uint();
        break;
      case 6:
        m.stop.emplace_back(in.Bytes());
        break;
      case 7:
        m.ignore_eos = in.UintUpTo(1) == 1;
        break;
      case 8:
        m.n = static_cast<uint32_t>(in.UintUpTo(kMaxChoices));
        break;
      case 9:
        m.interactive = in.UintUpTo(1) == 1;
        break;
      case 10:
        m.logprobs = in.UintUpTo(1) == 1;
        break;
      case 11:
        m.top_logprobs = static_cast<uint32_t>(in.UintUpTo(wire::kMaxTopLogprobs));
        break;
      case 12:
        m.json_schema = in.Bytes();
        break;
      case 13:
        m.grammar = in.Bytes();
        break;
      case 14:
        m.tools = in.Bytes();
        break;
      case 15:
        m.tool_choice = static_cast<wire::ToolChoice>(in.UintUpTo(kLastToolChoice));
        break;
      case 16:
        m.parallel_tool_calls = in.UintUpTo(1) == 1;
        break;
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const Submit& m) {
    out.Uint(1, m.id);
    out.Bytes(2, Nested(m.request));
  }
  static bool Get(FieldReader& in, Submit& m) {
    if (in.field() == 1) m.id = in.Uint();
    return in.field() != 2 || GetAll(in.Bytes(), m.request);
  }

  static void Put(FieldWriter& out, const Cancel& m) { out.Uint(1, m.id); }
  static bool Get(FieldReader& in, Cancel& m) {
    if (in.field() == 1) m.id = in.Uint();
    return true;
  }

  static void Put(FieldWriter&, const Stop&) {}
  static bool Get(FieldReader&, Stop&) { return true; }

  static void Put(FieldWriter& out, const Started& m) {
    for (uint64_t id : m.ids) out.Uint(1, id);
  }
  static bool Get(FieldReader& in, Started& m) {
    if (in.field() == 1) m.ids.push_back(in.Uint());
    return true;
  }

  static void Put(FieldWriter& out, const Parked& m) {
    for (uint64_t id : m.ids) out.Uint(1, id);
  }
  static bool Get(FieldReader& in, Parked& m) {
    if (in.field() == 1) m.ids.push_back(in.Uint());
    return true;
  }

  static void Put(FieldWriter& out, const RequestError& m) {
    out.Uint(1, static_cast<uint64_t>(m.code));
    out.Bytes(2, m.message);
    out.Bytes(3, m.param);
  }
  static bool Get(FieldReader& in, RequestError& m) {
    switch (in.field()) {
      case 1:
        m.code = static_cast<Code>(in.UintUpTo(kLastCode));
        break;
      case 2:
        m.message = in.Bytes();
        break;
      case 3:
        m.param = in.Bytes();
        break;
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const Usage& m) {
    out.Uint(1, m.prompt_tokens);
    out.Uint(2, m.completion_tokens);
    out.Uint(3, m.cached_tokens);
    out.Uint(4, m.distinct_tokens);
  }
  static bool Get(FieldReader& in, Usage& m) {
    switch (in.field()) {
      case 1:
        m.prompt_tokens = in.Uint();
        break;
      case 2:
        m.completion_tokens = in.Uint();
        break;
      case 3:
        m.cached_tokens = in.Uint();
        break;
      case 4:
        m.distinct_tokens = in.Uint();
        break;
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const SequenceDelta& m) {
    out.Uint(1, m.id);
    if (!m.text.empty()) out.Bytes(2, m.text);
    out.Uint(3, m.tokens);
    if (m.finish_reason) out.Uint(4, static_cast<uint64_t>(*m.finish_reason));
    if (m.finish_reason) out.Bytes(5, Nested(m.usage));
    if (m.error) out.Bytes(6, Nested(*m.error));
    if (m.choice != 0) out.Uint(7, m.choice);
    for (const wire::ToolCall& call : m.tool_calls) out.Bytes(8, Nested(call));
    for (const wire::TokenLogprob& token : m.logprobs) out.Bytes(9, Nested(token));
  }
  static bool Get(FieldReader& in, SequenceDelta& m) {
    switch (in.field()) {
      case 1:
        m.id = in.Uint();
        break;
      case 2:
        m.text = in.Bytes();
        break;
      case 3:
        m.tokens = in.Uint();
        break;
      case 4:
        m.finish_reason = static_cast<FinishReason>(in.UintUpTo(kLastFinish));
        break;
      case 5:
        return GetAll(in.Bytes(), m.usage);
      case 6:
        return GetAll(in.Bytes(), m.error.emplace());
      case 7:
        m.choice = static_cast<uint32_t>(in.UintUpTo(kMaxChoices - 1));
        break;
      case 8:
        return GetAll(in.Bytes(), m.tool_calls.emplace_back());
      case 9:
        return GetAll(in.Bytes(), m.logprobs.emplace_back());
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const EngineStats& m) {
    out.Uint(1, m.steps);
    out.Uint(2, m.computed_tokens);
    out.Uint(3, m.shared_tokens);
    out.Uint(4, m.distinct_tokens);
    out.Uint(5, m.generated_tokens);
    out.Uint(6, m.pauses);
    out.Uint(7, m.running);
    out.Uint(8, m.waiting);
    out.Uint(9, m.kv_used);
    out.Uint(10, m.kv_cells);
    out.Uint(11, m.shared_cache);
  }
  static bool Get(FieldReader& in, EngineStats& m) {
    const std::array<uint64_t*, 10> numbers{
        &m.steps,  &m.computed_tokens, &m.shared_tokens, &m.distinct_tokens, &m.generated_tokens,
        &m.pauses, &m.running,         &m.waiting,       &m.kv_used,         &m.kv_cells};
    const uint32_t field = in.field();
    if (field >= 1 && field <= numbers.size()) *numbers[field - 1] = in.Uint();
    if (field == 11) m.shared_cache = in.UintUpTo(1) == 1;
    return true;
  }

  static void Put(FieldWriter& out, const Step& m) {
    for (const SequenceDelta& delta : m.deltas) out.Bytes(1, Nested(delta));
    out.Bytes(2, Nested(m.stats));
  }
  static bool Get(FieldReader& in, Step& m) {
    if (in.field() == 1) return GetAll(in.Bytes(), m.deltas.emplace_back());
    return in.field() != 2 || GetAll(in.Bytes(), m.stats);
  }

  static void Put(FieldWriter& out, const EmbedInput& m) {
    out.Uint(1, m.id);
    out.Uint(2, m.index);
    out.Bytes(3, m.text);
    PutAll(out, 4, m.tokens);
    out.Uint(5, m.dimensions);
  }
  static bool Get(FieldReader& in, EmbedInput& m) {
    switch (in.field()) {
      case 1:
        m.id = in.Uint();
        break;
      case 2:
        m.index = Uint32(in);
        break;
      case 3:
        m.text = in.Bytes();
        break;
      case 4:
        return GetAllOf(in, m.tokens);
      case 5:
        m.dimensions = Uint32(in);
        break;
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const Embed& m) {
    out.Uint(1, m.batch);
    for (const EmbedInput& input : m.inputs) out.Bytes(2, Nested(input));
  }
  static bool Get(FieldReader& in, Embed& m) {
    if (in.field() == 1) m.batch = in.Uint();
    return in.field() != 2 || GetAll(in.Bytes(), m.inputs.emplace_back());
  }

  static void Put(FieldWriter& out, const Embedding& m) {
    out.Uint(1, m.id);
    out.Uint(2, m.index);
    out.Uint(3, m.tokens);
    PutAll(out, 4, m.vector);
    if (m.error) out.Bytes(5, Nested(*m.error));
  }
  static bool Get(FieldReader& in, Embedding& m) {
    switch (in.field()) {
      case 1:
        m.id = in.Uint();
        break;
      case 2:
        m.index = Uint32(in);
        break;
      case 3:
        m.tokens = in.Uint();
        break;
      case 4:
        return GetAllOf(in, m.vector);
      case 5:
        return GetAll(in.Bytes(), m.error.emplace());
      default:
        break;
    }
    return true;
  }

  static void Put(FieldWriter& out, const Embedded& m) {
    out.Uint(1, m.batch);
    for (const Embedding& result : m.results) out.Bytes(2, Nested(result));
    out.Uint(3, m.last);
  }
  static bool Get(FieldReader& in, Embedded& m) {
    if (in.field() == 1) m.batch = in.Uint();
    if (in.field() == 3) m.last = in.UintUpTo(1) == 1;
    return in.field() != 2 || GetAll(in.Bytes(), m.results.emplace_back());
  }
};

uint32_t ReadLength(std::string_view bytes) {
  uint32_t length = 0;
  for (size_t i = 0; i < kFrameHeaderBytes; ++i) {
    length |= uint32_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  return length;
}

template <class T>
Result<Message> DecodeAs(std::string_view fields, std::string_view name) {
  T message;
  if (!Fields::GetAll(fields, message))
    return Fail(Code::kDataLoss, "engine protocol: damaged {} message", name);
  return Message(std::move(message));
}

}  // namespace

bool operator==(const SequenceDelta& a, const SequenceDelta& b) {
  return a.id == b.id && a.choice == b.choice && a.text == b.text && a.tokens == b.tokens &&
         a.finish_reason == b.finish_reason && a.error == b.error && a.usage == b.usage &&
         a.tool_calls == b.tool_calls && a.logprobs == b.logprobs;
}

Result<std::string> EncodeFrame(const Message& message) {
  FieldWriter out;
  std::visit([&out](const auto& m) { Fields::Put(out, m); }, message);
  const std::string fields = std::move(out).Take();
  const size_t length = fields.size() + 1;
  if (length > kMaxFrameBytes) {
    return Fail(Code::kResourceExhausted,
                "the request is too large for the engine: {} bytes, at most {}", length,
                kMaxFrameBytes);
  }
  std::string frame;
  frame.reserve(kFrameHeaderBytes + length);
  for (size_t i = 0; i < kFrameHeaderBytes; ++i)
    frame.push_back(static_cast<char>(length >> (8 * i)));
  frame.push_back(static_cast<char>(message.index()));
  frame.append(fields);
  return frame;
}

Result<Message> DecodePayload(std::string_view payload) {
  if (payload.empty()) return Fail(Code::kDataLoss, "engine protocol: empty message");
  const std::string_view fields = payload.substr(1);
  const auto kind = static_cast<uint8_t>(payload.front());
  switch (kind) {  // the order of the variant
    case 0:
      return DecodeAs<Hello>(fields, "hello");
    case 1:
      return DecodeAs<LoadError>(fields, "load error");
    case 2:
      return DecodeAs<Submit>(fields, "submit");
    case 3:
      return DecodeAs<Cancel>(fields, "cancel");
    case 4:
      return DecodeAs<Stop>(fields, "stop");
    case 5:
      return DecodeAs<Started>(fields, "started");
    case 6:
      return DecodeAs<Step>(fields, "step");
    case 7:
      return DecodeAs<Parked>(fields, "parked");
    case 8:
      return DecodeAs<Embed>(fields, "embed");
    case 9:
      return DecodeAs<Embedded>(fields, "embedded");
    default:
      return Fail(Code::kDataLoss, "engine protocol: unknown message {}", kind);
  }
}

void FrameReader::Append(std::string_view bytes) {
  buffer_.erase(0, begin_);
  begin_ = 0;
  buffer_.append(bytes);
}

Result<std::optional<std::string_view>> FrameReader::Next() {
  const std::string_view rest = std::string_view(buffer_).substr(begin_);
  if (rest.size() < kFrameHeaderBytes) return std::nullopt;
  const size_t length = ReadLength(rest);
  if (length > kMaxFrameBytes) {
    return Fail(Code::kDataLoss, "engine protocol: a frame of {} bytes, at most {}", length,
                kMaxFrameBytes);
  }
  if (rest.size() < kFrameHeaderBytes + length) return std::nullopt;
  begin_ += kFrameHeaderBytes + length;
  return rest.substr(kFrameHeaderBytes, length);
}

}  // namespace inferq::engine::llama
