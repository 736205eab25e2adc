// One file: pieces make no difference, every line is a batch line, no custom_id comes twice,
// numbers do not fall.
#include <set>
#include <string>
#include <string_view>

#include "base/check.h"
#include "service/ingest/csv.h"
#include "service/ingest/line_source.h"
#include "wire/batch_line.h"

using namespace inferq;
using namespace inferq::ingest;

namespace {

ReadBytes Pieces(std::string_view text, size_t piece) {
  return [text, piece](char* out, size_t size) mutable -> base::Result<size_t> {
    size_t n = std::min({piece, size, text.size()});
    text.copy(out, n);
    text.remove_prefix(n);
    return n;
  };
}

SourceOptions Options(Format format) {
  SourceOptions options;
  options.format = format;
  options.model = "m";
  options.max_item_bytes = 200;
  options.keep_columns = true;
  return options;
}

/// All that a source says, as text.
std::string Transcript(std::string_view text, Format format, size_t piece) {
  auto source = LineSource::Open(Pieces(text, piece), Options(format));
  if (!source) return source.error().ToString();
  std::string all;
  std::set<std::string> ids;
  uint64_t number = 0;
  while (true) {
    auto item = (*source)->Next();
    if (!item) return all + item.error().ToString();
    if (!*item) return all;
    if (auto* bad = std::get_if<BadLine>(&**item)) {
      INFERQ_CHECK(bad->number >= number && !bad->code.empty() && !bad->message.empty());
      number = bad->number;
      all += fmt::format("{} {} {} {}\n", bad->number, bad->custom_id, bad->code, bad->message);
      continue;
    }
    const Line& line = std::get<Line>(**item);
    INFERQ_CHECK(line.number >= number && line.offset + line.length <= text.size());
    INFERQ_CHECK(line.json.find('\n') == line.json.npos);
    auto parsed = wire::ParseBatchLine(line.json, {});
    INFERQ_CHECK(parsed && parsed->custom_id == line.custom_id);
    INFERQ_CHECK(ids.insert(line.custom_id).second);
    INFERQ_CHECK((*source)->columns().size() == line.columns.size());
    CsvRow(line.columns, {});
    number = line.number;
    all += fmt::format("{} {} {} {}\n", line.number, line.offset, line.length, line.json);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (Format format :
       {Format::kAuto, Format::kBatch, Format::kCsv, Format::kJsonArray, Format::kJsonl}) {
    std::string whole = Transcript(text, format, SIZE_MAX);
    INFERQ_CHECK(Transcript(text, format, 1) == whole);
    INFERQ_CHECK(Transcript(text, format, 7) == whole);
  }
  return 0;
}
