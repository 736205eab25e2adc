#include "gguf/trained_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <cstring>
#include <filesystem>
#include <limits>

#include "base/check.h"
#include "base/file_system.h"
#include "base/rng.h"
#include "gguf/llama_backends.h"
#include "wire/json.h"

namespace inferq::gguf {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kEmbd = 32, kFf = 32;

NamedTensor Filled(std::vector<uint64_t> shape, base::Rng& rng) {
  uint64_t count = 1;
  for (uint64_t size : shape) count *= size;
  NamedTensor tensor{.shape = std::move(shape), .values = std::vector<float>(count)};
  for (float& value : tensor.values)
    value = static_cast<float>(static_cast<int64_t>(rng.Next() % 2001) - 1000) / 4000;
  return tensor;
}

/// One layer of the architecture glm4, its output tied to the embedding.
TrainedModel MakeModel() {
  TrainedModel model{.name = "taught",
                     .spec = {.arch = Arch::kGlm4,
                              .layers = 1,
                              .embd = kEmbd,
                              .heads = 2,
                              .kv_heads = 1,
                              .ff = kFf,
                              .context = 64},
                     .vocabulary = MakeVocabulary(0),
                     .weights = {}};
  base::Rng rng(3);
  auto add = [&](const char* name, std::vector<uint64_t> shape) {
    model.weights.emplace(name, Filled(std::move(shape), rng));
  };
  add("token_embd.weight", {model.vocabulary.tokens.size(), kEmbd});
  add("output_norm.weight", {kEmbd});
  for (const char* name : {"blk.0.attn_norm.weight", "blk.0.ffn_norm.weight",
                           "blk.0.post_attention_norm.weight", "blk.0.post_ffw_norm.weight"})
    add(name, {kEmbd});
  add("blk.0.attn_q.weight", {kEmbd, kEmbd});
  add("blk.0.attn_k.weight", {kEmbd / 2, kEmbd});
  add("blk.0.attn_v.weight", {kEmbd / 2, kEmbd});
  add("blk.0.attn_output.weight", {kEmbd, kEmbd});
  add("blk.0.ffn_up.weight", {2 * kFf, kEmbd});
  add("blk.0.ffn_down.weight", {kEmbd, kFf});
  return model;
}

std::string AsSafetensors(const NamedTensors& tensors) {
  std::string header = "{", data;
  for (const auto& [name, tensor] : tensors) {
    size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(tensor.values.data()),
                tensor.values.size() * sizeof(float));
    header += fmt::format(R"({}"{}":{{"dtype":"F32","shape":[{}],"data_offsets":[{},{}]}})",
                          header.size() > 1 ? "," : "", name, fmt::join(tensor.shape, ","), begin,
                          data.size());
  }
  header += "}";
  uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header + data;
}

std::string JsonList(const std::vector<std::string>& texts) {
  std::string list;
  for (const std::string& text : texts) list += (list.empty() ? "[" : ",") + wire::JsonString(text);
  return list + "]";
}

std::string AsModelJson(const TrainedModel& model) {
  std::vector<std::string> tokens, special;
  for (const Token& token : model.vocabulary.tokens) {
    tokens.push_back(token.text);
    if (token.kind == TokenKind::kControl) special.push_back(token.text);
  }
  return fmt::format(
      R"({{"name":"{}","arch":"glm4","layers":{},"embd":{},"heads":{},"kv_heads":{},"ff":{},)"
      R"("context":{},"vocabulary":{{"tokens":{},"special":{},"merges":{},"end_of_text":{},)"
      R"("end_of_turn":{}}}}})",
      model.name, model.spec.layers, model.spec.embd, model.spec.heads, model.spec.kv_heads,
      model.spec.ff, model.spec.context, JsonList(tokens), JsonList(special),
      JsonList(model.vocabulary.merges), model.vocabulary.end_of_text,
      model.vocabulary.end_of_turn);
}

class TrainedModelTest : public ::testing::Test {
 protected:
  TrainedModelTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "inferq-trained-XXXXXX").string();
    dir_ = ::mkdtemp(pattern.data());
  }
  ~TrainedModelTest() override { std::filesystem::remove_all(dir_); }

  void Store(const std::string& name, const std::string& bytes) {
    INFERQ_CHECK(
        base::WriteFileAtomically(base::PosixFileSystem(), dir_ + "/" + name, bytes).has_value());
  }
  std::string path() const { return dir_ + "/model.gguf"; }
  /// Name of the tensor or field that is refused and the sentence about it.
  std::string Refusal(const TrainedModel& model) {
    auto written = WriteTrainedModel(model, path());
    EXPECT_FALSE(std::filesystem::exists(path()));
    return written ? "written" : written.error().param() + ": " + written.error().message();
  }

  std::string dir_;
};

TEST_F(TrainedModelTest, WhatIsReadIsWhatWasWritten) {
  TrainedModel model = MakeModel();
  Store("model.json", AsModelJson(model));
  Store("weights.safetensors", AsSafetensors(model.weights));
  auto read = ReadTrainedModel(dir_);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->name, "taught");
  EXPECT_EQ(read->spec.arch, Arch::kGlm4);
  EXPECT_EQ(read->spec.embd, kEmbd);
  EXPECT_EQ(read->spec.kv_heads, 1U);
  EXPECT_EQ(read->vocabulary.merges, model.vocabulary.merges);
  EXPECT_EQ(read->vocabulary.end_of_turn, model.vocabulary.end_of_turn);
  ASSERT_EQ(read->weights.size(), model.weights.size());
  for (const auto& [name, tensor] : model.weights) {
    EXPECT_EQ(read->weights.at(name).shape, tensor.shape) << name;
    EXPECT_EQ(read->weights.at(name).values, tensor.values) << name;
  }
}

TEST_F(TrainedModelTest, LibllamaLoadsIt) {
  TrainedModel model = MakeModel();
  InitLlama();
  for (WeightType type : {WeightType::kF32, WeightType::kF16, WeightType::kQ8_0}) {
    model.spec.type = type;
    auto written = WriteTrainedModel(model, path());
    ASSERT_TRUE(written) << written.error().message();
    std::unique_ptr<llama_model, decltype(&llama_model_free)> loaded(
        llama_model_load_from_file(path().c_str(), llama_model_default_params()),
        &llama_model_free);
    ASSERT_TRUE(loaded);
    char name[16];
    llama_model_meta_val_str(loaded.get(), "general.name", name, sizeof name);
    EXPECT_STREQ(name, "taught");
  }
}

TEST_F(TrainedModelTest, ValuesStandInTheFileAsGiven) {
  TrainedModel model = MakeModel();
  model.spec.type = WeightType::kF32;
  ASSERT_TRUE(WriteTrainedModel(model, path()));
  std::string file = base::ReadFile(base::PosixFileSystem(), path()).value();
  for (const auto& [name, tensor] : model.weights) {
    std::string_view bytes(reinterpret_cast<const char*>(tensor.values.data()),
                           tensor.values.size() * sizeof(float));
    EXPECT_NE(file.find(bytes), std::string::npos) << name;
  }
}

TEST_F(TrainedModelTest, RefusesWrongWeightsAndNamesTheTensor) {
  const std::string name = "blk.0.attn_k.weight";
  TrainedModel missing = MakeModel();
  missing.weights.erase(name);
  EXPECT_EQ(Refusal(missing), name + ": tensor " + name + " is missing");

  TrainedModel turned = MakeModel();
  turned.weights[name].shape = {kEmbd, kEmbd / 2};
  EXPECT_EQ(Refusal(turned),
            name + ": tensor " + name + " has the shape [32, 16]; it must be [16, 32]");

  TrainedModel nan = MakeModel();
  nan.weights[name].values[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(Refusal(nan), HasSubstr("tensor " + name + " has the value nan at 5"));

  TrainedModel large = MakeModel();
  large.weights[name].values[7] = 70000;
  EXPECT_THAT(Refusal(large), HasSubstr("has the value 70000 at 7; it must be within 65504"));
  large.spec.type = WeightType::kF32;
  EXPECT_TRUE(WriteTrainedModel(large, dir_ + "/large.gguf"));

  TrainedModel unknown = MakeModel();
  unknown.weights["blk.1.attn_k.weight"] = unknown.weights[name];
  EXPECT_THAT(Refusal(unknown), HasSubstr("tensor blk.1.attn_k.weight has no place"));

  TrainedModel sizes = MakeModel();
  sizes.spec.heads = 3;
  EXPECT_THAT(Refusal(sizes), HasSubstr("heads: embd / heads is 32 / 3"));
}

TEST_F(TrainedModelTest, AnOwnOutputIsWrittenToo) {
  TrainedModel model = MakeModel();
  ASSERT_TRUE(WriteTrainedModel(model, path()));
  auto tied = std::filesystem::file_size(path());
  model.weights["output.weight"] = model.weights["token_embd.weight"];
  ASSERT_TRUE(WriteTrainedModel(model, path()));
  EXPECT_GT(std::filesystem::file_size(path()), tied + kEmbd * model.vocabulary.tokens.size());
}

TEST_F(TrainedModelTest, NamesTheFileThatIsMissingOrWrong) {
  EXPECT_THAT(ReadTrainedModel(dir_).error().message(), HasSubstr(dir_ + "/model.json"));
  Store("model.json", "{}");
  EXPECT_EQ(ReadTrainedModel(dir_).error().message(), dir_ + "/model.json: name is missing");
  Store("model.json", AsModelJson(MakeModel()));
  EXPECT_THAT(ReadTrainedModel(dir_).error().message(), HasSubstr(dir_ + "/weights.safetensors"));
  Store("weights.safetensors", "short");
  EXPECT_THAT(ReadTrainedModel(dir_).error().message(), HasSubstr("weights.safetensors: no safe"));
}

TEST(ParseModelJson, NamesWhatIsWrong) {
  const std::string good = AsModelJson(MakeModel());
  auto refusal = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    size_t at = text.find(from);
    INFERQ_CHECK(at != std::string::npos);
    auto parsed = ParseModelJson(text.replace(at, from.size(), to));
    return parsed ? "parsed" : parsed.error().message();
  };
  EXPECT_EQ(refusal("glm4", "gpt2"), "arch is \"gpt2\"; it must be llama or glm4");
  EXPECT_EQ(refusal("\"embd\":32", "\"embd\":-1"),
            "embd is -1; it must be a number that is not negative");
  EXPECT_EQ(refusal("\"ff\":32,", ""), "ff is missing");
  EXPECT_EQ(refusal("\"B\"", "\"A\""), "token \"A\" comes twice");
  EXPECT_EQ(refusal("\"B\"", "\"new\""), "byte 0x42 has no token");
  EXPECT_EQ(refusal("\"special\":[", "\"special\":[\"none\","), "special \"none\" is no token");
  EXPECT_EQ(refusal("\"merges\":[", "\"merges\":[\"ab\","),
            "merge \"ab\" has no space between two tokens");
  EXPECT_EQ(refusal("\"merges\":[", "\"merges\":[\"Q q\","), "merge \"Q q\": \"Qq\" is no token");
  EXPECT_THAT(refusal("\"end_of_turn\":", "\"end_of_turn\":99"), HasSubstr("end_of_turn is 99"));
}

TEST(ParseSafetensors, NamesWhatIsWrong) {
  auto file = [](const std::string& header, const std::string& data) {
    uint64_t size = header.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof size) + header + data;
  };
  auto refusal = [&](const std::string& entry) {
    auto parsed = ParseSafetensors(file("{\"a\":{" + entry + "}}", "12345678"));
    return parsed ? "parsed" : parsed.error().message();
  };
  EXPECT_EQ(refusal(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), "parsed");
  EXPECT_EQ(refusal(R"("dtype":"BF16","shape":[4],"data_offsets":[0,8])"),
            "tensor a: dtype is \"BF16\"; it must be \"F32\"");
  EXPECT_EQ(refusal(R"("dtype":"F32","shape":[2],"data_offsets":[0,12])"),
            "tensor a: bytes 0 to 12 are not in the file, which has 8");
  EXPECT_EQ(refusal(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"),
            "tensor a: bytes 8 to 0 are not in the file, which has 8");
  EXPECT_EQ(refusal(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"),
            "tensor a: its shape does not take 8 bytes");
  EXPECT_EQ(refusal(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8])"),
            "tensor a: its shape does not take 8 bytes");
  EXPECT_EQ(refusal(R"("dtype":"F32","shape":[2])"),
            "tensor a: shape or data_offsets is missing or no list");
  EXPECT_FALSE(ParseSafetensors(file("no JSON", "")));
  EXPECT_THAT(ParseSafetensors(file("{}", "").substr(0, 9)).error().message(),
              HasSubstr("its header does not fit in 9 bytes"));
  EXPECT_TRUE(ParseSafetensors(file(R"({"__metadata__":{"format":"pt"}})", "")).value().empty());
}

}  // namespace
}  // namespace inferq::gguf
