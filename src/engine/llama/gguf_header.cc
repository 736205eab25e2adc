#include "engine/llama/gguf_header.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <set>

#include "engine/llama/tensor_types.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using base::Fail;
using base::Result;

constexpr size_t kReadBytes = size_t{256} * 1024;
constexpr size_t kFixedBytes = 24;  // magic, version, counts of tensors and of keys
constexpr uint32_t kOldestVersion = 2;
constexpr uint32_t kNewestVersion = 3;
constexpr uint64_t kUsualAlignment = 32;
constexpr uint64_t kTensorNameBytes = 63;
constexpr uint32_t kDimensionsMax = 4;
constexpr uint64_t kFileBytesMax = uint64_t{1} << 60;  // sums of a few stay in range

// The types of a value, as numbered in a file.
enum class ValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

// Bytes of a value; 0 for those without a size of their own; nullopt: no such type.
std::optional<size_t> SizeOf(uint32_t type) {
  constexpr size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return type < std::size(kSizes) ? std::optional(kSizes[type]) : std::nullopt;
}

bool IsSigned(ValueType type) {
  return type == ValueType::kInt8 || type == ValueType::kInt16 || type == ValueType::kInt32 ||
         type == ValueType::kInt64;
}

bool IsFloat(ValueType type) { return type == ValueType::kFloat32 || type == ValueType::kFloat64; }

int64_t SignExtended(uint64_t bits, size_t bytes) {
  const size_t shift = 64 - 8 * bytes;
  return static_cast<int64_t>(bits << shift) >> shift;
}

double FloatOf(uint64_t bits, ValueType type) {
  return type == ValueType::kFloat64 ? std::bit_cast<double>(bits)
                                     : std::bit_cast<float>(static_cast<uint32_t>(bits));
}

GgufValue ScalarOf(uint64_t bits, ValueType type, size_t bytes) {
  if (IsFloat(type)) return FloatOf(bits, type);
  if (type == ValueType::kBool) return bits != 0;
  if (!IsSigned(type)) return bits;
  const int64_t number = SignExtended(bits, bytes);
  return number < 0 ? GgufValue(number) : GgufValue(static_cast<uint64_t>(number));
}

// nullopt: would overflow.
std::optional<uint64_t> Product(uint64_t a, uint64_t b) {
  if (a != 0 && b > std::numeric_limits<int64_t>::max() / a) return std::nullopt;
  return a * b;
}

// @param value  far below 2^64.
uint64_t RoundedUp(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

// Text of a file in a message.
std::string Quoted(std::string_view text) {
  constexpr size_t kShown = 80;
  std::string out = "'";
  for (const char c : text.substr(0, kShown)) out += c < ' ' || c > '~' ? '?' : c;
  return out + (text.size() > kShown ? "…'" : "'");
}

class HeaderReader {
 public:
  HeaderReader(base::File& file, const std::string& path, const GgufLimits& limits)
      : file_(file), path_(path), limits_(limits) {}

  Result<GgufHeader> Read() {
    INFERQ_ASSIGN(size_, file_.Size());
    INFERQ_TRY(ReadFixed());
    for (uint64_t i = 0; i < keys_; ++i) INFERQ_TRY(ReadPair(i));
    INFERQ_TRY(ReadAlignment());
    std::set<std::string, std::less<>> names;
    for (uint64_t i = 0; i < tensors_; ++i) {
      where_ = fmt::format("tensor {} of {}", i + 1, tensors_);
      INFERQ_ASSIGN(GgufTensor tensor, ReadTensor());
      if (!names.insert(tensor.name).second) return Damaged("is there twice");
      header_.tensors.push_back(std::move(tensor));
    }
    where_ = "the weights";
    header_.data_offset = header_.data_end = at_;
    if (tensors_ > 0) INFERQ_TRY(PlaceTensors());
    return std::move(header_);
  }

 private:
  // --- Bytes ---

  // "model a.gguf: key 'x' at byte 12 …"
  template <class... Args>
  std::unexpected<base::Error> Damaged(fmt::format_string<Args...> format, Args&&... args) const {
    return Fail(Code::kInvalidArgument, "model {}: {} (at byte {}) {}", path_, where_, at_,
                fmt::format(format, std::forward<Args>(args)...));
  }

  // Whether so many bytes are left, of the file and of what a header may have.
  Result<> CheckLeft(uint64_t bytes) const {
    if (bytes > size_ - at_) {
      return Damaged(
          "goes beyond the end of the file, which has {} bytes: it is cut off or damaged; "
          "download it again",
          size_);
    }
    if (bytes > limits_.header_bytes - std::min(at_, limits_.header_bytes)) {
      return Damaged("makes the header longer than {} bytes, more than any model has",
                     limits_.header_bytes);
    }
    return {};
  }

  Result<> Fill(char* out, size_t bytes) {
    while (bytes > 0) {
      if (at_ < buffer_at_ || at_ >= buffer_at_ + buffer_.size()) {
        buffer_.resize(static_cast<size_t>(std::min<uint64_t>(kReadBytes, size_ - at_)));
        INFERQ_ASSIGN(const size_t got, file_.ReadAt(at_, buffer_.data(), buffer_.size()));
        buffer_.resize(got);
        buffer_at_ = at_;
        if (got == 0) return Damaged("was cut off while it was read");
      }
      const auto from = static_cast<size_t>(at_ - buffer_at_);
      const size_t n = std::min(bytes, buffer_.size() - from);
      std::memcpy(out, buffer_.data() + from, n);
      out += n;
      at_ += n;
      bytes -= n;
    }
    return {};
  }

  Result<uint64_t> ReadNumber(size_t bytes) {
    INFERQ_TRY(CheckLeft(bytes));
    std::array<char, 8> raw{};
    INFERQ_TRY(Fill(raw.data(), bytes));
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; ++i) number |= uint64_t{static_cast<uint8_t>(raw[i])} << (8 * i);
    return number;
  }

  Result<> Skip(uint64_t bytes) {
    INFERQ_TRY(CheckLeft(bytes));
    at_ += bytes;
    return {};
  }

  // A text's first `kept` bytes; all of it is passed.
  Result<std::string> ReadText(uint64_t kept) {
    INFERQ_ASSIGN(const uint64_t length, ReadNumber(8));
    INFERQ_TRY(CheckLeft(length));
    std::string text(static_cast<size_t>(std::min(length, kept)), '\0');
    INFERQ_TRY(Fill(text.data(), text.size()));
    INFERQ_TRY(Skip(length - text.size()));
    return text;
  }

  // A text that must not be longer than that.
  Result<std::string> ReadName(uint64_t most) {
    INFERQ_ASSIGN(const uint64_t length, ReadNumber(8));
    if (length > most) {
      return Damaged("has a name of {} bytes; {} are allowed: damaged", length, most);
    }
    INFERQ_TRY(CheckLeft(length));
    std::string name(static_cast<size_t>(length), '\0');
    INFERQ_TRY(Fill(name.data(), name.size()));
    return name;
  }

  // --- The parts of a header ---

  Result<> ReadFixed() {
    if (size_ == 0) return Fail(Code::kInvalidArgument, "model {} is empty", path_);
    std::array<char, 4> magic{};
    where_ = "the beginning";
    if (size_ >= magic.size()) INFERQ_TRY(Fill(magic.data(), magic.size()));
    if (std::string_view(magic.data(), magic.size()) != "GGUF") {
      return Fail(Code::kInvalidArgument,
                  "model {} is not a GGUF file. Convert it with llama.cpp's convert_hf_to_gguf.py, "
                  "or download a .gguf",
                  path_);
    }
    if (size_ < kFixedBytes) {
      return Fail(Code::kInvalidArgument, "model {} ends after {} bytes: download it again", path_,
                  size_);
    }
    INFERQ_ASSIGN(const uint64_t version, ReadNumber(4));
    if (version < kOldestVersion || version > kNewestVersion) {
      return Fail(Code::kInvalidArgument,
                  "model {} is GGUF version {} (or damaged, or big-endian); versions {} and {} are "
                  "known",
                  path_, version, kOldestVersion, kNewestVersion);
    }
    header_.version = static_cast<uint32_t>(version);
    INFERQ_ASSIGN(tensors_, ReadNumber(8));
    INFERQ_ASSIGN(keys_, ReadNumber(8));
    if (tensors_ > limits_.tensors || keys_ > limits_.keys) {
      return Damaged("promises {} tensors and {} keys; at most {} and {} are read: damaged",
                     tensors_, keys_, limits_.tensors, limits_.keys);
    }
    return {};
  }

  Result<> ReadPair(uint64_t i) {
    where_ = fmt::format("key {} of {}", i + 1, keys_);
    INFERQ_ASSIGN(std::string key, ReadName(limits_.key_bytes));
    where_ = "key " + Quoted(key);
    INFERQ_ASSIGN(const uint64_t type, ReadNumber(4));
    INFERQ_ASSIGN(GgufValue value, ReadValue(static_cast<uint32_t>(type)));
    if (!header_.values.emplace(std::move(key), std::move(value)).second) {
      return Damaged("is there twice");
    }
    return {};
  }

  Result<GgufValue> ReadValue(uint32_t type) {
    const auto size = SizeOf(type);
    if (!size) return Damaged("has a value of type {}, which does not exist: damaged", type);
    const auto kind = static_cast<ValueType>(type);
    if (kind == ValueType::kString) {
      INFERQ_ASSIGN(std::string text, ReadText(limits_.text_bytes));
      return GgufValue(std::move(text));
    }
    if (kind == ValueType::kArray) {
      INFERQ_ASSIGN(GgufList list, ReadList());
      return GgufValue(std::move(list));
    }
    INFERQ_ASSIGN(const uint64_t bits, ReadNumber(*size));
    return ScalarOf(bits, kind, *size);
  }

  Result<GgufList> ReadList() {
    INFERQ_ASSIGN(const uint64_t type, ReadNumber(4));
    INFERQ_ASSIGN(const uint64_t count, ReadNumber(8));
    const auto size = SizeOf(static_cast<uint32_t>(type));
    const auto kind = static_cast<ValueType>(type);
    if (!size || kind == ValueType::kArray) {
      return Damaged("is a list of items of type {}, which lists cannot have: damaged", type);
    }
    GgufList list{.count = count, .numbers = {}};
    if (kind == ValueType::kString) {
      INFERQ_TRY(SkipTexts(count));
    } else if (IsFloat(kind) || count > limits_.list_items) {
      const auto bytes = Product(count, *size);
      if (!bytes) return Damaged("is a list of {} items: damaged", count);
      INFERQ_TRY(Skip(*bytes));
    } else {
      for (uint64_t i = 0; i < count; ++i) {
        INFERQ_ASSIGN(const uint64_t bits, ReadNumber(*size));
        list.numbers.push_back(IsSigned(kind) ? SignExtended(bits, *size)
                                              : static_cast<int64_t>(bits));
      }
    }
    return list;
  }

  Result<> SkipTexts(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      INFERQ_ASSIGN(const uint64_t length, ReadNumber(8));
      INFERQ_TRY(Skip(length));
    }
    return {};
  }

  Result<> ReadAlignment() {
    const auto found = header_.values.find("general.alignment");
    if (found == header_.values.end()) return {};
    const auto* alignment = std::get_if<uint64_t>(&found->second);
    if (!alignment || !std::has_single_bit(*alignment) || *alignment > (1u << 20)) {
      where_ = "key 'general.alignment'";
      return Damaged("is no power of 2 up to 1048576: damaged");
    }
    alignment_ = *alignment;
    return {};
  }

  Result<GgufTensor> ReadTensor() {
    GgufTensor tensor;
    INFERQ_ASSIGN(tensor.name, ReadName(kTensorNameBytes));
    where_ = "tensor " + Quoted(tensor.name);
    INFERQ_ASSIGN(const uint64_t dimensions, ReadNumber(4));
    if (dimensions > kDimensionsMax) {
      return Damaged("has {} dimensions; {} are the most: damaged", dimensions, kDimensionsMax);
    }
    for (size_t i = 0; i < dimensions; ++i) {
      INFERQ_ASSIGN(tensor.shape[i], ReadNumber(8));
    }
    INFERQ_ASSIGN(const uint64_t type, ReadNumber(4));
    INFERQ_ASSIGN(tensor.offset, ReadNumber(8));
    tensor.type = static_cast<uint32_t>(type);
    INFERQ_TRY(MeasureTensor(tensor));
    return tensor;
  }

  Result<> MeasureTensor(GgufTensor& tensor) const {
    tensor.elements = 1;
    for (const uint64_t length : tensor.shape) {
      const auto product = Product(tensor.elements, length);
      if (!product) return Damaged("has more numbers than can be counted: damaged");
      tensor.elements = *product;
    }
    const auto type = FindTensorType(tensor.type);
    if (!type) return {};
    if (tensor.shape[0] % type->block != 0) {
      return Damaged("has rows of {} numbers; {} comes in blocks of {}: damaged", tensor.shape[0],
                     type->name, type->block);
    }
    const auto bytes = Product(tensor.elements / type->block, type->bytes);
    if (!bytes) return Damaged("has more bytes than can be counted: damaged");
    tensor.bytes = *bytes;
    return {};
  }

  // The tensors lie one behind the other, each at a multiple of the alignment, and in the file.
  Result<> PlaceTensors() {
    header_.data_offset = RoundedUp(at_, alignment_);
    uint64_t expected = 0;
    bool known = true;  // where the next one must lie
    for (const GgufTensor& tensor : header_.tensors) {
      where_ = "tensor " + Quoted(tensor.name);
      if (tensor.offset % alignment_ != 0 || (known && tensor.offset != expected)) {
        return Damaged("lies at {} of the weights, where {} is expected: damaged", tensor.offset,
                       expected);
      }
      if (tensor.offset > kFileBytesMax || tensor.bytes > kFileBytesMax) {
        return Damaged("ends beyond every file: damaged");
      }
      header_.data_end =
          std::max(header_.data_end, header_.data_offset + tensor.offset + tensor.bytes);
      known = tensor.bytes != 0 || FindTensorType(tensor.type).has_value();
      expected = RoundedUp(tensor.offset + tensor.bytes, alignment_);
    }
    if (header_.data_end > size_) {
      return Fail(Code::kInvalidArgument,
                  "model {} is {} bytes short: it has {} of {}; download it again", path_,
                  header_.data_end - size_, size_, header_.data_end);
    }
    return {};
  }

  base::File& file_;
  const std::string& path_;
  const GgufLimits& limits_;
  uint64_t size_ = 0;  // of the file
  uint64_t at_ = 0;    // <= size_
  std::string buffer_;
  uint64_t buffer_at_ = 0;
  std::string where_;  // what is being read, for messages
  uint64_t keys_ = 0;
  uint64_t tensors_ = 0;
  uint64_t alignment_ = kUsualAlignment;
  GgufHeader header_;
};

template <class T>
const T* ValueOf(const GgufHeader& header, std::string_view key) {
  const auto found = header.values.find(key);
  return found == header.values.end() ? nullptr : std::get_if<T>(&found->second);
}

}  // namespace

std::optional<uint64_t> GgufHeader::Unsigned(std::string_view key) const {
  const auto* number = ValueOf<uint64_t>(*this, key);
  return number ? std::optional(*number) : std::nullopt;
}

std::optional<double> GgufHeader::Number(std::string_view key) const {
  if (const auto* number = ValueOf<double>(*this, key)) return *number;
  if (const auto* number = ValueOf<int64_t>(*this, key)) return static_cast<double>(*number);
  const auto whole = Unsigned(key);
  return whole ? std::optional(static_cast<double>(*whole)) : std::nullopt;
}

std::optional<bool> GgufHeader::Flag(std::string_view key) const {
  const auto* flag = ValueOf<bool>(*this, key);
  return flag ? std::optional(*flag) : std::nullopt;
}

const std::string* GgufHeader::Text(std::string_view key) const {
  return ValueOf<std::string>(*this, key);
}

const GgufList* GgufHeader::List(std::string_view key) const {
  return ValueOf<GgufList>(*this, key);
}

Result<GgufHeader> ReadGgufHeader(base::File& file, const std::string& path,
                                  const GgufLimits& limits) {
  return HeaderReader(file, path, limits).Read();
}

}  // namespace inferq::engine::llama
