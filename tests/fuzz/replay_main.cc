// Runs a fuzz target without libFuzzer: every file of the folder, then seeded mutations of them.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "base/rng.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kMutationsPerSeed = 300;
constexpr uint64_t kSeed = 20240607;

void Run(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

std::string Mutated(std::string text, const std::vector<std::string>& seeds,
                    inferq::base::Rng& rng) {
  constexpr std::string_view kTokens = "{}[]\",:\\\n\r;\t \xff\xef";
  for (uint64_t n = rng.Below(4) + 1; n > 0; --n) {
    size_t at = rng.Below(text.size() + 1);
    switch (rng.Below(5)) {
      case 0:
        text.resize(at);
        break;
      case 1:
        text.erase(at, rng.Below(8) + 1);
        break;
      case 2:
        text.insert(at, 1, kTokens[rng.Below(kTokens.size())]);
        break;
      case 3:
        text.insert(at, 1, static_cast<char>(rng.Below(256)));
        break;
      default: {
        const std::string& other = seeds[rng.Below(seeds.size())];
        size_t from = rng.Below(other.size() + 1);
        text.insert(at, other.substr(from, rng.Below(64)));
      }
    }
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i]))
      files.push_back(entry.path());
  }
  std::ranges::sort(files);
  std::vector<std::string> seeds;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  if (seeds.empty()) {
    std::cerr << "no seeds found\n";
    return 1;
  }
  inferq::base::Rng rng(kSeed);
  for (const std::string& seed : seeds) {
    Run(seed);
    for (int i = 0; i < kMutationsPerSeed; ++i) Run(Mutated(seed, seeds, rng));
  }
  std::cout << seeds.size() << " seeds, " << seeds.size() * kMutationsPerSeed << " mutations\n";
}
