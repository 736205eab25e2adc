#include "engine/llama/gguf_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file_system.h"

namespace inferq::engine::llama {
namespace {

using base::Code;
using testing::HasSubstr;

class GgufFileTest : public testing::Test {
 protected:
  GgufFileTest() {
    std::string pattern = testing::TempDir() + "inferq_gguf_XXXXXX";
    directory_ = ::mkdtemp(pattern.data());
  }
  ~GgufFileTest() override { std::filesystem::remove_all(directory_); }

  base::Error ErrorOf(std::string_view contents) {
    const std::string path = directory_ + "/model.gguf";
    auto written = base::WriteFileAtomically(base::PosixFileSystem(), path, contents);
    EXPECT_TRUE(written.has_value());
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

TEST_F(GgufFileTest, AHeaderThatLooksRightPasses) {
  const std::string path = directory_ + "/model.gguf";
  const std::string header = std::string("GGUF\3\0\0\0", 8) + std::string(16, '\0');
  ASSERT_TRUE(base::WriteFileAtomically(base::PosixFileSystem(), path, header));
  EXPECT_TRUE(CheckGgufFile(path).has_value());
}

}  // namespace
}  // namespace inferq::engine::llama
