#include "app/bench_batch_file.h"

#include <fmt/format.h>

#include <iterator>

namespace inferq::app {

namespace {

constexpr size_t kWriteBytes = size_t{1} << 20;

void AppendLine(std::string& out, uint64_t number, std::string_view model, uint32_t max_tokens) {
  fmt::format_to(
      std::back_inserter(out),
      R"({{"custom_id":"line-{0}","method":"POST","url":"/v1/chat/completions","body":)"
      R"({{"model":"{1}","messages":[{{"role":"user","content":"Is review {0} positive? Answer )"
      R"(yes or no: the parcel came two days early and everything in it was whole."}}],)"
      R"("max_tokens":{2}}}}})"
      "\n",
      number, model, max_tokens);
}

}  // namespace

base::Result<BatchFile> WriteBatchFile(const std::string& directory, uint64_t lines,
                                       const std::string& model, uint32_t max_tokens) {
  base::FileSystem& fs = base::PosixFileSystem();
  const std::string path = directory + "/input.jsonl";
  BatchFile made;
  INFERQ_ASSIGN(made.file, fs.Open(path, base::OpenMode::kReadWrite));
  INFERQ_TRY(fs.Remove(path));
  std::string text;
  for (uint64_t i = 0; i < lines; ++i) {
    AppendLine(text, i, model, max_tokens);
    if (text.size() < kWriteBytes && i + 1 < lines) continue;
    INFERQ_TRY(made.file->WriteAt(made.bytes, text));
    made.bytes += text.size();
    text.clear();
  }
  return made;
}

}  // namespace inferq::app
