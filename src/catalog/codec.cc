#include "catalog/codec.h"

#include <type_traits>

namespace inferq::catalog {
namespace {

// 2: batches have an index of their lines. 4: idempotency keys, prompt tokens, removed files. 5:
// changes of live batches, and retries. 6: deliveries of webhooks, lines that name images, inputs
// of rows.
constexpr uint64_t kVersion = 6;

// Numbers in groups of seven bits, the low ones first; times and signed numbers as their two's
// complement; texts and lists behind their length.
class Writer {
 public:
  std::string Take() { return std::move(bytes_); }

  void operator()(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
  void operator()(const std::string& text) {
    (*this)(uint64_t{text.size()});
    bytes_ += text;
  }
  void operator()(bool flag) { (*this)(uint64_t{flag ? 1u : 0u}); }
  void operator()(model::BatchId id) { (*this)(id.value); }
  void operator()(model::BatchStatus status) { (*this)(static_cast<uint64_t>(status)); }
  void operator()(model::UploadStatus status) { (*this)(static_cast<uint64_t>(status)); }
  void operator()(int number) { (*this)(static_cast<uint64_t>(int64_t{number})); }
  void operator()(model::DeliveryStatus status) { (*this)(static_cast<uint64_t>(status)); }
  void operator()(base::Micros time) { (*this)(static_cast<uint64_t>(time.count())); }
  void operator()(base::WallTime time) { (*this)(time.time_since_epoch()); }
  template <class T>
  void operator()(const std::optional<T>& value) {
    (*this)(uint64_t{value ? 1u : 0u});
    if (value) (*this)(*value);
  }
  template <class T>
  void operator()(const std::vector<T>& values) {
    (*this)(uint64_t{values.size()});
    for (const T& value : values) Fields(*this, value);
  }

 private:
  std::string bytes_;
};

// The same way back. Once something does not fit it stays failed and gives zeros.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  bool failed() const { return failed_; }
  bool at_end() const { return rest_.empty(); }

  void operator()(uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return;
    }
    Fail();
    value = 0;
  }
  void operator()(std::string& text) {
    uint64_t size = Count();
    text = rest_.substr(0, size);
    rest_.remove_prefix(size);
  }
  void operator()(bool& flag) { flag = Number() != 0; }
  void operator()(model::BatchId& id) { (*this)(id.value); }
  void operator()(model::BatchStatus& status) {
    uint64_t value = Number();
    if (value >= model::kBatchStatusCount) return Fail();
    status = static_cast<model::BatchStatus>(value);
  }
  void operator()(model::UploadStatus& status) {
    uint64_t value = Number();
    if (value >= model::kUploadStatusCount) return Fail();
    status = static_cast<model::UploadStatus>(value);
  }
  void operator()(int& number) { number = static_cast<int>(static_cast<int64_t>(Number())); }
  void operator()(model::DeliveryStatus& status) {
    uint64_t value = Number();
    if (value >= model::kDeliveryStatusCount) return Fail();
    status = static_cast<model::DeliveryStatus>(value);
  }
  void operator()(base::Micros& time) { time = base::Micros(static_cast<int64_t>(Number())); }
  void operator()(base::WallTime& time) {
    base::Micros since{0};
    (*this)(since);
    time = base::WallTime(since);
  }
  template <class T>
  void operator()(std::optional<T>& value) {
    value.reset();
    if (Number() != 0) (*this)(value.emplace());
  }
  template <class T>
  void operator()(std::vector<T>& values) {
    values.clear();
    for (uint64_t left = Count(); left > 0 && !failed_; --left) {
      Fields(*this, values.emplace_back());
    }
  }

 private:
  uint64_t Number() {
    uint64_t value = 0;
    (*this)(value);
    return value;
  }
  // Of things that take a byte or more each.
  uint64_t Count() {
    uint64_t count = Number();
    if (count <= rest_.size()) return count;
    Fail();
    return 0;
  }
  void Fail() {
    failed_ = true;
    rest_ = {};
  }

  std::string_view rest_;
  bool failed_ = false;
};

// The fields of each record, in the order of the bytes, for both ways.

template <class Coder, class Record>
  requires std::is_same_v<std::remove_const_t<Record>, std::string>
void Fields(Coder& coder, Record& text) {
  coder(text);
}

template <class Coder, class Record>
  requires std::is_same_v<std::remove_const_t<Record>, std::pair<std::string, std::string>>
void Fields(Coder& coder, Record& pair) {
  coder(pair.first);
  coder(pair.second);
}

template <class Coder, class Record>
  requires std::is_same_v<std::remove_const_t<Record>, model::BatchProblem>
void Fields(Coder& coder, Record& problem) {
  coder(problem.code);
  coder(problem.message);
  coder(problem.param);
  coder(problem.line);
}

template <class Coder, class Record>
  requires std::is_same_v<std::remove_const_t<Record>, model::WebhookDelivery>
void Fields(Coder& coder, Record& delivery) {
  coder(delivery.url);
  coder(delivery.status);
  coder(delivery.attempts);
  coder(delivery.next);
  coder(delivery.last);
  coder(delivery.last_status);
  coder(delivery.last_error);
}

template <class Coder, class Record>
  requires std::is_same_v<std::remove_const_t<Record>, model::FileRecord>
void Fields(Coder& coder, Record& file) {
  coder(file.id);
  coder(file.sequence);
  coder(file.tenant);
  coder(file.filename);
  coder(file.purpose);
  coder(file.bytes);
  coder(file.blob);
  coder(file.created);
  coder(file.expires);
}

template <class Coder, class Record>
  requires std::is_same_v<std::remove_const_t<Record>, model::BatchRecord>
void Fields(Coder& coder, Record& batch) {
  coder(batch.id);
  coder(batch.sequence);
  coder(batch.number);
  coder(batch.tenant);
  coder(batch.endpoint);
  coder(batch.input_file_id);
  coder(batch.input_blob);
  coder(batch.completion_window);
  coder(batch.metadata);
  coder(batch.output_expires_after);
  coder(batch.traceparent);
  coder(batch.status);
  coder(batch.model);
  coder(batch.lines);
  coder(batch.errors);
  coder(batch.output_file_id);
  coder(batch.error_file_id);
  coder(batch.succeeded);
  coder(batch.failed);
  coder(batch.usage.input_tokens);
  coder(batch.usage.cached_tokens);
  coder(batch.usage.output_tokens);
  coder(batch.created);
  coder(batch.expires);
  coder(batch.in_progress);
  coder(batch.finalizing);
  coder(batch.completed);
  coder(batch.failed_at);
  coder(batch.expired);
  coder(batch.cancelling);
  coder(batch.cancelled);
}

template <class Coder, class Record>
  requires std::is_same_v<std::remove_const_t<Record>, model::UploadPart>
void Fields(Coder& coder, Record& part) {
  coder(part.id);
  coder(part.blob);
  coder(part.bytes);
}

template <class Coder, class Record>
  requires std::is_same_v<std::remove_const_t<Record>, model::UploadRecord>
void Fields(Coder& coder, Record& upload) {
  coder(upload.id);
  coder(upload.sequence);
  coder(upload.tenant);
  coder(upload.filename);
  coder(upload.purpose);
  coder(upload.mime_type);
  coder(upload.bytes);
  coder(upload.expires_after);
  coder(upload.status);
  coder(upload.parts);
  coder(upload.file_id);
  coder(upload.completion);
  coder(upload.created);
  coder(upload.expires);
  coder(upload.ended);
}

// What later versions added, behind the rest.
template <class Coder, class Record>
void Added(Coder& coder, Record& record, uint64_t version) {
  if constexpr (std::is_same_v<std::remove_const_t<Record>, model::BatchRecord>) {
    if (version < 2) return;
    coder(record.models);
    coder(record.index_blob);
    coder(record.cost);
    if (version < 3) return;
    coder(record.usage.distinct_tokens);
    if (version < 4) return;
    coder(record.prompt_tokens);
    coder(record.idempotency_key);
    coder(record.content_hash);
    if (version < 5) return;
    coder(record.priority);
    coder(record.deadline);
    coder(record.paused);
    coder(record.adjusted);
    coder(record.version);
    coder(record.retry_of);
    coder(record.retried_by);
    coder(record.retry_lines);
    coder(record.retry_blob);
    coder(record.retry_bytes);
    if (version < 6) return;
    coder(record.deliveries);
    coder(record.blob_lines);
    coder(record.rows.format);
    coder(record.rows.prompt_template);
    coder(record.rows.system);
    coder(record.rows.model);
    coder(record.rows.body);
  }
  if constexpr (std::is_same_v<std::remove_const_t<Record>, model::FileRecord>) {
    if (version >= 4) coder(record.removed);
  }
}

template <class Record>
std::string EncodeRecord(const Record& record) {
  Writer writer;
  writer(kVersion);
  Fields(writer, record);
  Added(writer, record, kVersion);
  return writer.Take();
}

template <class Record>
base::Result<> DecodeRecord(std::string_view bytes, Record& record) {
  Reader reader(bytes);
  uint64_t version = 0;
  reader(version);
  bool known = version >= 1 && version <= kVersion;
  if (known) {
    Fields(reader, record);
    Added(reader, record, version);
  }
  if (known && !reader.failed() && reader.at_end()) return {};
  return base::Fail(base::Code::kDataLoss, "a stored record of version {} cannot be read", version);
}

}  // namespace

std::string Encode(const model::FileRecord& file) { return EncodeRecord(file); }
std::string Encode(const model::BatchRecord& batch) { return EncodeRecord(batch); }
std::string Encode(const model::UploadRecord& upload) { return EncodeRecord(upload); }

base::Result<> Decode(std::string_view bytes, model::FileRecord& file) {
  return DecodeRecord(bytes, file);
}
base::Result<> Decode(std::string_view bytes, model::BatchRecord& batch) {
  return DecodeRecord(bytes, batch);
}
base::Result<> Decode(std::string_view bytes, model::UploadRecord& upload) {
  return DecodeRecord(bytes, upload);
}

}  // namespace inferq::catalog
