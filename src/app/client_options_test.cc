#include "app/client_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <fstream>

namespace inferq::app {
namespace {

using testing::HasSubstr;

class ClientOptionsTest : public testing::Test {
 protected:
  void SetUp() override { Clear(); }
  void TearDown() override { Clear(); }
  static void Clear() {
    for (const char* name : {"INFERQ_SERVER", "INFERQ_API_KEY", "OPENAI_API_KEY"}) unsetenv(name);
  }
};

TEST_F(ClientOptionsTest, TheOptionBeatsTheVariableBeatsTheDefault) {
  EXPECT_EQ(MakeClientOptions({})->base_url, "http://127.0.0.1:8080/v1");
  setenv("INFERQ_SERVER", "http://gpu-1/v1", 1);
  EXPECT_EQ(MakeClientOptions({})->base_url, "http://gpu-1/v1");
  EXPECT_EQ(MakeClientOptions({.server = "http://gpu-2/v1"})->base_url, "http://gpu-2/v1");
}

TEST_F(ClientOptionsTest, CommandsThatShareTheFlagsDoNotOverruleTheGivenOne) {
  setenv("INFERQ_SERVER", "http://gpu-1/v1", 1);
  ClientFlags flags;
  CLI::App root;
  AddClientOptions(*root.add_subcommand("list", ""), flags);
  AddClientOptions(*root.add_subcommand("wait", ""), flags);
  root.parse("list --server http://gpu-2/v1");
  EXPECT_EQ(MakeClientOptions(flags)->base_url, "http://gpu-2/v1");
}

TEST_F(ClientOptionsTest, TheKeyIsTheFilesElseOursElseOpenAis) {
  EXPECT_EQ(MakeClientOptions({})->api_key, "");
  setenv("OPENAI_API_KEY", "theirs", 1);
  EXPECT_EQ(MakeClientOptions({})->api_key, "theirs");
  setenv("INFERQ_API_KEY", "ours", 1);
  EXPECT_EQ(MakeClientOptions({})->api_key, "ours");
  std::string path = testing::TempDir() + "inferq_client_key";
  std::ofstream(path) << "from file\nsecond line\n";
  EXPECT_EQ(MakeClientOptions({.api_key_file = path})->api_key, "from file");
  remove(path.c_str());
}

TEST_F(ClientOptionsTest, WhatIsNoAddressIsRefused) {
  auto options = MakeClientOptions({.server = "gpu-1"});
  ASSERT_FALSE(options);
  EXPECT_THAT(options.error().message(), HasSubstr("--server"));
}

}  // namespace
}  // namespace inferq::app
