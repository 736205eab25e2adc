#include "gguf/tiny_model.h"

#include <cstdio>

#include "base/check.h"
#include "gguf/model_writer.h"

namespace inferq::testing {

std::string MakeTinyModel(const std::string& dir, std::string_view arch, uint64_t seed,
                          bool tools) {
  auto spec = gguf::Preset("tiny");
  auto parsed = gguf::ParseArch(arch);
  INFERQ_CHECK(spec && parsed);
  spec->arch = *parsed;
  spec->seed = seed;
  spec->tools = tools;
  std::string path = fmt::format("{}/tiny-{}-{}{}.gguf", dir, arch, seed, tools ? "-tools" : "");
  auto written = gguf::WriteModel(*spec, path);
  if (!written) fmt::print(stderr, "{}\n", written.error().ToString());
  INFERQ_CHECK(written.has_value());
  return path;
}

}  // namespace inferq::testing
