#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "config/reference.h"

namespace inferq::config {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Schema TestSchema() {
  return {
      .options =
          {{.key = "server.threads", .sentence = "Threads.", .standard = 0, .min = 0, .max = 64},
           {.key = "server.idle", .sentence = "Idle.", .standard = base::Micros(5s)},
           {.key = "server.body", .sentence = "Body.", .standard = Bytes{1024}, .min = Bytes{1}},
           {.key = "log.level",
            .sentence = "Level.",
            .standard = "info",
            .choices = {"info", "debug"},
            .alias = "--level"},
           {.key = "batch.windows", .sentence = "Windows.", .standard = Texts{"24h"}},
           {.key = "batch.share", .sentence = "Share.", .standard = 0.5},
           {.key = "hook.token", .sentence = "Token.", .standard = "", .secret = true}},
      .tables = {
          {.name = "tenant",
           .sentence = "Tenants.",
           .options = {{.key = "name", .sentence = "Name.", .standard = "", .required = true},
                       {.key = "weight",
                        .sentence = "Weight.",
                        .standard = 1.0,
                        .min = 0.001,
                        .max = 1e6}}}}};
}

class ConfigTest : public testing::Test {
 protected:
  ConfigTest() {
    std::string name = testing::TempDir() + "/config-XXXXXX";
    directory_ = ::mkdtemp(name.data());
  }
  ~ConfigTest() override { std::filesystem::remove_all(directory_); }

  std::string WriteFile(const std::string& name, std::string_view text) {
    std::string path = directory_ + "/" + name;
    EXPECT_TRUE(base::WriteFileAtomically(base::PosixFileSystem(), path, text));
    return path;
  }

  base::Result<Config> LoadIt(const std::string& toml, std::vector<Flag> flags = {}) {
    auto environment = [this](const std::string& name) -> std::optional<std::string> {
      auto found = environment_.find(name);
      return found == environment_.end() ? std::nullopt : std::optional(found->second);
    };
    std::string path = WriteFile("c.toml", toml);
    return Load(TestSchema(), {path, environment, std::move(flags)}, base::PosixFileSystem());
  }

  std::string ProblemOf(const std::string& toml, std::vector<Flag> flags = {}) {
    auto config = LoadIt(toml, std::move(flags));
    return config ? "" : config.error().message();
  }

  std::string directory_;
  std::map<std::string, std::string> environment_;
};

TEST_F(ConfigTest, WithoutSourcesThereAreTheDefaults) {
  auto config = LoadIt("");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->settings.Get<int64_t>("server.threads"), 0);
  EXPECT_EQ(config->settings.Get<Texts>("batch.windows"), Texts{"24h"});
  EXPECT_FALSE(config->settings.given("server.threads"));
  EXPECT_TRUE(config->tables.at("tenant").empty());
}

TEST_F(ConfigTest, EachSourceWinsOverTheOneBeforeAndIsNamed) {
  std::string toml = "[server]\nthreads = 1\n";
  auto file = LoadIt(toml);
  EXPECT_EQ(file->settings.Get<int64_t>("server.threads"), 1);
  EXPECT_THAT(file->settings.origin("server.threads"), testing::EndsWith("/c.toml:2"));
  environment_["INFERQ_SERVER_THREADS"] = "2";
  auto environment = LoadIt(toml);
  EXPECT_EQ(environment->settings.Get<int64_t>("server.threads"), 2);
  EXPECT_EQ(environment->settings.origin("server.threads"), "INFERQ_SERVER_THREADS");
  auto flag = LoadIt(toml, {{"server.threads", "3"}});
  EXPECT_EQ(flag->settings.Get<int64_t>("server.threads"), 3);
  EXPECT_EQ(flag->settings.origin("server.threads"), "--server-threads");
}

TEST_F(ConfigTest, ReadsEveryType) {
  auto config = LoadIt(R"(
server = { threads = 3, idle = "2m", body = "1MiB" }
batch.windows = ["24h", "1h"]
batch.share = 1
[[tenant]]
name = "a"
[[tenant]]
name = "b"
weight = 2.5
)");
  ASSERT_TRUE(config) << config.error().message();
  EXPECT_EQ(config->settings.Get<base::Micros>("server.idle"), 2min);
  EXPECT_EQ(config->settings.Get<Bytes>("server.body"), Bytes{1 << 20});
  EXPECT_EQ(config->settings.Get<Texts>("batch.windows"), (Texts{"24h", "1h"}));
  EXPECT_EQ(config->settings.Get<double>("batch.share"), 1.0);
  const auto& tenants = config->tables.at("tenant");
  ASSERT_EQ(tenants.size(), 2u);
  EXPECT_EQ(tenants[0].Get<double>("weight"), 1.0);
  EXPECT_EQ(tenants[1].Get<double>("weight"), 2.5);
  EXPECT_THAT(tenants[1].place(), testing::EndsWith("/c.toml:7"));
}

TEST_F(ConfigTest, UnknownKeysSuggestTheNearest) {
  EXPECT_THAT(ProblemOf("[server]\nthread = 1\n"),
              HasSubstr("c.toml:2: server.thread is no option; did you mean server.threads?"));
  EXPECT_THAT(ProblemOf("[[tenant]]\nname = 'a'\nwait = 1\n"), HasSubstr("tenant.wait"));
  EXPECT_THAT(ProblemOf("zzzzzzzzzzzz = 1"), HasSubstr("is no option; docs/config.md"));
  EXPECT_THAT(ProblemOf("[[tenants]]\nname = 'a'"), HasSubstr("there is [[tenant]]"));
}

TEST_F(ConfigTest, ProblemsNameOriginKeyValueAndWhatIsAllowed) {
  EXPECT_THAT(ProblemOf("server.threads = 65"),
              HasSubstr("c.toml:1: server.threads is 65; it must be 0 to 64"));
  EXPECT_EQ(ProblemOf("", {{"server.threads", "-1"}}),
            "--server-threads: server.threads is -1; it must be 0 to 64");
  EXPECT_THAT(ProblemOf("log.level = 'loud'"), HasSubstr("is loud; it must be info or debug"));
  EXPECT_THAT(ProblemOf("server.body = '0B'"), HasSubstr("is 0B; it must be at least 1B"));
  EXPECT_THAT(ProblemOf("server.threads = '3'"), HasSubstr("must be of the type integer"));
  EXPECT_THAT(ProblemOf("server.idle = 3"), HasSubstr("duration in quotes, with its unit"));
  EXPECT_THAT(ProblemOf("server.idle = '3'"), HasSubstr("'3' is no duration"));
  EXPECT_THAT(ProblemOf("server.idle = 1979-05-27"), HasSubstr("c.toml:1: server.idle"));
  EXPECT_THAT(ProblemOf("batch.share = nan\n[[tenant]]\nname='a'\nweight = nan"),
              HasSubstr("tenant.weight is nan"));
  EXPECT_THAT(ProblemOf("[[tenant]]\nweight = 1.0"), HasSubstr("c.toml:1: tenant.name is missing"));
  EXPECT_THAT(ProblemOf("a = ["), HasSubstr("c.toml:1: "));
  environment_["INFERQ_SERVER_THREADS"] = "many";
  EXPECT_EQ(ProblemOf(""), "INFERQ_SERVER_THREADS: server.threads 'many' is no integer");
}

TEST_F(ConfigTest, AllProblemsAreToldAtOnce) {
  EXPECT_THAT(ProblemOf("server.threads = 65\nserver.body = '0B'\nwhat = 1"),
              AllOf(HasSubstr("server.threads"), HasSubstr("server.body"), HasSubstr("what")));
}

TEST_F(ConfigTest, AMissingFileIsNamed) {
  auto none = [](const std::string&) { return std::optional<std::string>(); };
  auto config = Load(TestSchema(), {"/no/such.toml", none, {}}, base::PosixFileSystem());
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code(), base::Code::kNotFound);
  EXPECT_THAT(config.error().message(), HasSubstr("/no/such.toml"));
}

TEST_F(ConfigTest, ASecretComesFromAFileOrAVariableAndIsNotShown) {
  std::string path = WriteFile("token", "s3cret\n");
  auto from_file = LoadIt("hook.token_file = '" + path + "'");
  ASSERT_TRUE(from_file) << from_file.error().message();
  EXPECT_EQ(from_file->settings.Get<std::string>("hook.token"), "s3cret");
  EXPECT_EQ(from_file->settings.Show("hook.token"), "(secret)");
  EXPECT_EQ(LoadIt("")->settings.Show("hook.token"), "");
  environment_["TOKEN"] = "other";
  auto from_variable = LoadIt("hook.token_env = 'TOKEN'");
  EXPECT_EQ(from_variable->settings.Get<std::string>("hook.token"), "other");

  EXPECT_THAT(ProblemOf("hook.token = 's3cret'"),
              AllOf(HasSubstr("hook.token_file"), Not(HasSubstr("s3cret"))));
  EXPECT_THAT(ProblemOf("hook.token_file = '/no/token'"), HasSubstr("/no/token"));
  EXPECT_THAT(ProblemOf("hook.token_env = 'NOT_SET'"), HasSubstr("NOT_SET, which is not set"));
  EXPECT_THAT(ProblemOf("hook.token_file = '" + WriteFile("empty", "\n") + "'"),
              HasSubstr("first line is empty"));
}

TEST(Schema, OneKeyMakesTheNames) {
  EXPECT_EQ(EnvironmentName("server.io_threads"), "INFERQ_SERVER_IO_THREADS");
  EXPECT_EQ(FlagName("server.io_threads"), "--server-io-threads");
  EXPECT_EQ(KeysOf({.key = "a.b", .sentence = "", .standard = "", .secret = true}),
            (std::vector<std::string>{"a.b_file", "a.b_env"}));
}

TEST(Reference, ListsOptionsWithNamesDefaultsAndBounds) {
  std::string page = MakeReference(TestSchema());
  EXPECT_THAT(page, HasSubstr("| `server.threads`<br>`--server-threads`<br>`INFERQ_SERVER_THREADS` "
                              "| integer | `0` | Threads. Allowed: 0 to 64. |\n"));
  EXPECT_THAT(page, HasSubstr("<br>`--level` |"));
  EXPECT_THAT(page, HasSubstr("`hook.token_file`, `hook.token_env`"));
  EXPECT_THAT(page, HasSubstr("## [[tenant]]"));
  EXPECT_THAT(page, HasSubstr("| `name` | text | required |"));
}

}  // namespace
}  // namespace inferq::config
