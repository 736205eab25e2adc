#include "engine/llama/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file_system.h"
#include "engine/llama/gguf_bytes.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using ::testing::HasSubstr;

class GgufFileTest : public ::testing::Test {
 protected:
  GgufFileTest() {
    std::string pattern = ::testing::TempDir() + "inferq_gguf_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~GgufFileTest() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& name, std::string_view contents) {
    const std::string path = directory_ + "/" + name;
    EXPECT_TRUE(base::WriteFileAtomically(base::PosixFileSystem(), path, contents).has_value());
    return path;
  }
  base::Error ErrorOf(std::string_view contents) {
    const std::string path = Write("model.gguf", contents);
    auto result = CheckGgufFile(path);
    EXPECT_FALSE(result.has_value());
    EXPECT_THAT(result.error().message(), HasSubstr(path));
    return result.error();
  }
  std::string directory_;
};

TEST_F(GgufFileTest, SaysWhatIsWrongWithAPath) {
  const auto missing = CheckGgufFile(directory_ + "/none.gguf");
  EXPECT_EQ(missing.error().code(), Code::kNotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr("does not exist"));
  const auto folder = CheckGgufFile(directory_);
  EXPECT_EQ(folder.error().code(), Code::kInvalidArgument);
  EXPECT_THAT(folder.error().message(), HasSubstr("is a directory"));
  const auto device = CheckGgufFile("/dev/null");
  EXPECT_THAT(device.error().message(), HasSubstr("not a regular file"));
}

TEST_F(GgufFileTest, SaysWhatIsWrongWithAFile) {
  EXPECT_THAT(ErrorOf("").message(), HasSubstr("is empty"));
  EXPECT_THAT(ErrorOf("PK\3\4 some archive or other").message(), HasSubstr("not a GGUF file"));
  EXPECT_THAT(ErrorOf("GGUF\3").message(), HasSubstr("ends after 5 bytes"));
  EXPECT_THAT(ErrorOf(std::string("GGUF\0\0\0\3", 8) + std::string(16, '\0')).message(),
              HasSubstr("version 50331648"));
  EXPECT_EQ(ErrorOf("junk").code(), Code::kInvalidArgument);
}

TEST_F(GgufFileTest, AnUnreadableFileIsNamed) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  const std::string path = directory_ + "/secret.gguf";
  ASSERT_TRUE(base::WriteFileAtomically(base::PosixFileSystem(), path, "GGUF"));
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  EXPECT_EQ(CheckGgufFile(path).error().code(), Code::kPermissionDenied);
}

TEST_F(GgufFileTest, AWholeModelPassesAndAShortOneDoesNot) {
  const std::string whole = testing::SmallModel().Build(192);
  const std::string path = Write("model.gguf", whole);
  auto checked = CheckGgufFile(path);
  EXPECT_TRUE(checked.has_value()) << checked.error().message();
  EXPECT_THAT(ErrorOf(whole.substr(0, whole.size() - 100)).message(),
              HasSubstr("is 100 bytes short"));
}

testing::GgufBytes Part(uint32_t number, uint32_t count) {
  testing::GgufBytes file;
  file.Set("split.no", number).Set("split.count", count).Set("general.architecture", "glm4");
  return file.Tensor(fmt::format("part{}", number), {8}, 0, 0);
}

TEST_F(GgufFileTest, ASplitModelIsReadFromItsFirstPart) {
  const std::string first = Write("m-00001-of-00002.gguf", Part(0, 2).Build(32));
  EXPECT_THAT(CheckGgufFile(first).error().message(),
              HasSubstr("m-00002-of-00002.gguf does not exist"));
  const std::string second = Write("m-00002-of-00002.gguf", Part(1, 2).Build(16));
  EXPECT_THAT(CheckGgufFile(first).error().message(), HasSubstr("16 bytes short"));
  Write("m-00002-of-00002.gguf", Part(1, 2).Build(32));
  auto file = ReadGgufFile(first);
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(file->parts.size(), 2u);
  EXPECT_THAT(CheckGgufFile(second).error().message(), HasSubstr("name the first, " + first));
  EXPECT_THAT(CheckGgufFile(Write("other.gguf", Part(0, 2).Build(32))).error().message(),
              HasSubstr("must end in -00001-of-00002.gguf"));
  Write("m-00002-of-00002.gguf", Part(0, 2).Build(32));
  EXPECT_THAT(CheckGgufFile(first).error().message(), HasSubstr("is not part 2 of 2"));
  EXPECT_THAT(
      CheckGgufFile(Write("big-00001-of-00002.gguf", Part(0, 60'000).Build(32))).error().message(),
      HasSubstr("damaged"));
}

TEST_F(GgufFileTest, AnAdapterIsNoModelAndFitsOne) {
  const auto adapter = [](const char* type, const char* architecture) {
    testing::GgufBytes file;
    file.Set("general.type", "adapter").Set("adapter.type", type);
    return file.Set("general.architecture", architecture).Build();
  };
  const std::string model = Write("model.gguf", testing::SmallModel().Build(192));
  const std::string good = Write("good.gguf", adapter("lora", "glm4"));
  EXPECT_TRUE(CheckGgufAdapter(good, model).has_value());
  EXPECT_THAT(CheckGgufFile(good).error().message(), HasSubstr("is an adapter"));
  const auto problem = [&](const std::string& path) {
    return CheckGgufAdapter(path, model).error().message();
  };
  EXPECT_THAT(problem(Write("odd.gguf", adapter("odd", "glm4"))), HasSubstr("type 'odd'"));
  EXPECT_THAT(problem(Write("other.gguf", adapter("lora", "llama"))),
              HasSubstr("other.gguf was made for llama"));
  EXPECT_THAT(problem(model), HasSubstr("is a model, not an adapter"));
  EXPECT_THAT(problem(directory_ + "/none.gguf"), HasSubstr("none.gguf does not exist"));
}

}  // namespace
}  // namespace inferq::engine::llama
