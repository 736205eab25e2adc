#include "app/serve_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "app/config_flags.h"
#include "app/key_command.h"
#include "config/reference.h"

namespace inferq::app {
namespace {

using namespace std::chrono_literals;
using base::Result;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Kind = ModelOptions::Kind;

const std::string kKeyA = config::HashApiKey("key-of-a");
const std::string kKeyB = config::HashApiKey("key-of-b");

std::optional<std::string> NoEnvironment(const std::string&) { return std::nullopt; }

class ServeOptionsTest : public testing::Test {
 protected:
  ServeOptionsTest() {
    std::string name = testing::TempDir() + "/serve-options-XXXXXX";
    directory_ = ::mkdtemp(name.data());
    flags_ = {{"models.directory", directory_ + "/models"}};
  }
  ~ServeOptionsTest() override { std::filesystem::remove_all(directory_); }

  std::string WriteFile(const std::string& name, std::string_view text) {
    std::string path = directory_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    EXPECT_TRUE(base::WriteFileAtomically(base::PosixFileSystem(), path, text));
    return path;
  }

  Result<ServeOptions> LoadIt(std::string_view toml) {
    config::Sources sources{WriteFile("c.toml", toml), NoEnvironment, flags_};
    return LoadServeOptions(sources, base::PosixFileSystem());
  }

  std::string ProblemOf(std::string_view toml) {
    auto options = LoadIt(toml);
    return options ? "" : options.error().message();
  }

  std::vector<std::string> ModelNames(const ServeOptions& options) {
    std::vector<std::string> names;
    for (const auto& model : options.models) names.push_back(model.name);
    return names;
  }

  std::string directory_;
  std::vector<config::Flag> flags_;
};

TEST_F(ServeOptionsTest, BoundsAreOursOrOpenAIs) {
  auto ours = LoadIt("");
  ASSERT_TRUE(ours) << ours.error().message();
  EXPECT_EQ(ours->batches.bytes, UINT64_MAX);
  EXPECT_EQ(ours->batches.creations_per_hour, 0u);
  EXPECT_EQ(ours->batch_file_limit, uint64_t{8} << 30);
  EXPECT_EQ(ours->parts_limit, uint64_t{8} << 30);
  EXPECT_EQ(ours->file_lifetime, 720h);
  auto theirs = LoadIt("openai_limits = true\n[batch]\nenqueued_tokens = 90000\n");
  ASSERT_TRUE(theirs) << theirs.error().message();
  EXPECT_EQ(theirs->max_lines, 50'000u);
  EXPECT_EQ(theirs->upload_limit, 512u << 20);
  EXPECT_EQ(theirs->batch_file_limit, 200u << 20);
  EXPECT_EQ(theirs->batches.bytes, 200u << 20);
  EXPECT_EQ(theirs->batches.inputs, 50'000u);
  EXPECT_EQ(theirs->batches.creations_per_hour, 2000u);
  EXPECT_EQ(theirs->batches.enqueued_tokens, 90'000u);
  EXPECT_EQ(theirs->parts_limit, uint64_t{8} << 30);
  auto narrower = LoadIt("openai_limits = true\nbatch.max_lines = 7\n");
  ASSERT_TRUE(narrower) << narrower.error().message();
  EXPECT_EQ(narrower->max_lines, 7u);
}

TEST_F(ServeOptionsTest, WithoutAFileTheDefaultsAreSafe) {
  auto options = LoadServeOptions({"", NoEnvironment, flags_}, base::PosixFileSystem());
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->listen.host, "127.0.0.1");
  EXPECT_EQ(options->listen.port, 8080);
  ASSERT_TRUE(options->admin_listen);
  EXPECT_EQ(options->admin_listen->port, 8081);
  EXPECT_EQ(options->io_threads, 0u);
  EXPECT_EQ(options->limits.max_connections, 10'000u);
  EXPECT_EQ(options->limits.head_timeout, 10s);
  EXPECT_EQ(options->limits.idle_timeout, 75s);
  EXPECT_EQ(options->limits.write_stall, 30s);
  EXPECT_EQ(options->limits.body_memory, 1u << 30);
  EXPECT_EQ(options->body_limit, 32u << 20);
  EXPECT_EQ(options->upload_limit, uint64_t{8} << 30);
  EXPECT_EQ(options->data_directory, "inferq-data");
  EXPECT_EQ(options->min_free_bytes, 64u << 20);
  EXPECT_EQ(options->idle_unload, 10min);
  EXPECT_EQ(options->hold, 50s);
  EXPECT_EQ(options->keep_alive, 15s);
  EXPECT_THAT(options->windows, ElementsAre("24h"));
  EXPECT_EQ(options->max_lines, 10'000'000u);
  EXPECT_EQ(options->max_attempts, 3u);
  EXPECT_EQ(options->drain_grace, 30s);
  EXPECT_EQ(options->log_level, obs::Level::kInfo);
  EXPECT_EQ(options->log_format, LogFormat::kAuto);
  EXPECT_TRUE(options->models.empty());
  EXPECT_TRUE(options->tenants.empty());
  EXPECT_TRUE(options->keys.empty());
}

TEST_F(ServeOptionsTest, ReadsAddresses) {
  auto options = LoadIt(
      "server = { listen = '[::1]:0', admin_listen = '' }\nlog.level='error'\n"
      "log.format = 'json'");
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->listen.host, "::1");
  EXPECT_EQ(options->listen.port, 0);
  EXPECT_FALSE(options->admin_listen);
  EXPECT_EQ(options->log_level, obs::Level::kError);
  EXPECT_EQ(options->log_format, LogFormat::kJson);
  EXPECT_EQ(LoadIt("server.listen = 'localhost:1'")->listen.host, "127.0.0.1");
  for (const char* bad : {"", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000",
                          "::1:80", "host:80", "[127.0.0.1]:80", "127.0.0.1:8x"}) {
    EXPECT_THAT(ProblemOf(fmt::format("server.listen = '{}'", bad)),
                HasSubstr("0.0.0.0:8080 for all addresses"))
        << bad;
  }
}

TEST_F(ServeOptionsTest, OthersAreLetInWithKeysOnly) {
  for (const char* open : {"0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:127.0.0.1]:1"}) {
    EXPECT_THAT(ProblemOf(fmt::format("server.listen = '{}'", open)),
                HasSubstr("inferq key create"))
        << open;
  }
  EXPECT_EQ(ProblemOf("server.listen = '127.8.0.1:1'"), "");
  EXPECT_EQ(ProblemOf("server.listen = '0.0.0.0:1'\n[[tenant]]\nname='a'\nkeys=['" + kKeyA + "']"),
            "");
}

TEST_F(ServeOptionsTest, ReadsModelsOfEveryKind) {
  std::string key = WriteFile("key", "s3cret\n");
  auto options = LoadIt(R"(
[[model]]
name = "r"
url = "http://x/v1"
upstream_name = "up"
api_key_file = ")" + key +
                        R"("
[[model]]
name = "g"
path = "g.gguf"
context = 4096
threads = 2
[[model]]
name = "f"
fake = true
concurrency = 1
ttft = "1ms"
itl = "0s"
fail_rate = 0.5
tokens = 7
[[model]]
name = "zero"
fake = true
reserved = 0
)");
  ASSERT_TRUE(options) << options.error().message();
  ASSERT_THAT(ModelNames(*options), ElementsAre("f", "g", "r", "zero"));
  const ModelOptions& fake = options->models[0];
  EXPECT_EQ(fake.kind, Kind::kFake);
  EXPECT_EQ(fake.concurrency, 1u);
  EXPECT_EQ(fake.reserved, 0u);
  EXPECT_EQ(fake.ttft, 1ms);
  EXPECT_EQ(fake.itl, 0s);
  EXPECT_EQ(fake.fail_rate, 0.5);
  EXPECT_EQ(fake.tokens, 7u);
  const ModelOptions& local = options->models[1];
  EXPECT_EQ(local.kind, Kind::kGguf);
  EXPECT_EQ(local.path, "g.gguf");
  EXPECT_EQ(local.concurrency, 16u);
  EXPECT_EQ(local.reserved, 2u);
  EXPECT_EQ(local.context_tokens, 4096u);
  EXPECT_EQ(local.threads, 2u);
  const ModelOptions& remote = options->models[2];
  EXPECT_EQ(remote.kind, Kind::kRemote);
  EXPECT_EQ(remote.url, "http://x/v1");
  EXPECT_EQ(remote.upstream_name, "up");
  EXPECT_EQ(remote.api_key, "s3cret");
  EXPECT_EQ(remote.concurrency, 32u);
  EXPECT_EQ(remote.reserved, 4u);
  EXPECT_EQ(options->models[3].reserved, 0u);
}

TEST_F(ServeOptionsTest, ReadsTheShapeOfAnswers) {
  auto options = LoadIt(R"(
[[model]]
name = "a"
url = "http://x"
stop = ["</answer>"]
strip_suffix = ["</answer>", "<|end_of_box|>"]
buffer_stream = true
[[model]]
name = "b"
fake = true
)");
  ASSERT_TRUE(options) << options.error().message();
  const engine::AnswerShape& shape = options->models[0].shape;
  EXPECT_THAT(shape.stop, ElementsAre("</answer>"));
  EXPECT_THAT(shape.strip_suffix, ElementsAre("</answer>", "<|end_of_box|>"));
  EXPECT_TRUE(shape.buffer_stream);
  EXPECT_TRUE(options->models[1].shape.empty());
  auto problem = [this](std::string_view option) {
    return ProblemOf(fmt::format("[[model]]\nname = 'a'\nfake = true\n{}", option));
  };
  EXPECT_THAT(problem("stop = ['']"), HasSubstr("c.toml:4: model.stop has a text of 0 bytes"));
  EXPECT_THAT(problem("strip_suffix = ['x ']"), HasSubstr("ends with white space"));
  EXPECT_THAT(
      problem("stop = ['1','2','3','4','5','6','7','8','9','a','b','c','d','e','f','g','h']"),
      HasSubstr("has 17 texts"));
}

TEST_F(ServeOptionsTest, RefusesModelsThatMakeNoSense) {
  EXPECT_THAT(ProblemOf("[[model]]\nname = 'a'"), HasSubstr("needs exactly one of path"));
  EXPECT_THAT(ProblemOf("[[model]]\nname = 'a'\nfake = true\nurl = 'http://x'"),
              HasSubstr("c.toml:1: [[model]] 'a' needs exactly one of"));
  EXPECT_THAT(ProblemOf("[[model]]\nname = 'a'\nfake = true\nthreads = 2"),
              HasSubstr("c.toml:4: model.threads belongs to models with path, this one has fake"));
  EXPECT_THAT(ProblemOf("[[model]]\nname = 'a b'\nfake = true"), HasSubstr("model.name is 'a b'"));
  EXPECT_THAT(ProblemOf("[[model]]\nname = ''\nfake = true"), HasSubstr("model.name is ''"));
  EXPECT_THAT(ProblemOf("[[model]]\nname='a'\nfake=true\nconcurrency = 4\nreserved = 4"),
              HasSubstr("less than concurrency, which is 4"));
  EXPECT_THAT(ProblemOf("[[model]]\nname='a'\npath='x'\nconcurrency = 257"),
              HasSubstr("takes at most 256"));
  EXPECT_THAT(ProblemOf("[[model]]\nname='a'\nfake=true\n[[model]]\nname='a'\nfake=true"),
              HasSubstr("c.toml:5: model.name is 'a', as another model's"));
  EXPECT_THAT(ProblemOf("[[model]]\nname='a'\nurl='http://x'\napi_key='s3cret'"),
              AllOf(HasSubstr("model.api_key_file"), Not(HasSubstr("s3cret"))));
}

TEST_F(ServeOptionsTest, ServesTheFilesOfTheFolderBesideTheModelsOfTheFile) {
  for (const char* name : {"one.gguf", "two.gguf", "big-00001-of-00002.gguf",
                           "big-00002-of-00002.gguf", "notes.txt", ".gguf"}) {
    WriteFile(std::string("models/") + name, "");
  }
  auto options = LoadIt("[[model]]\nname = 'two'\nfake = true");
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_THAT(ModelNames(*options), ElementsAre("big", "one", "two"));
  EXPECT_EQ(options->models[0].path, directory_ + "/models/big-00001-of-00002.gguf");
  EXPECT_EQ(options->models[1].concurrency, 16u);
  EXPECT_EQ(options->models[1].reserved, 2u);
  EXPECT_EQ(options->models[2].kind, Kind::kFake);
  WriteFile("models/big.gguf", "");
  EXPECT_THAT(ProblemOf(""), HasSubstr("would both be the model 'big'"));
  EXPECT_EQ(ProblemOf("[[model]]\nname = 'big'\nfake = true"), "");
}

TEST_F(ServeOptionsTest, ReadsTenants) {
  auto options = LoadIt(fmt::format(
      "[[tenant]]\nname = 'a'\nkeys = ['{}']\nweight = 2\nmax_running = 5\n[[tenant]]\nname = "
      "'b_1-x'\nkeys = ['{}']\n",
      kKeyA, kKeyB));
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->tenants.at("a").weight, 2.0);
  EXPECT_EQ(options->tenants.at("a").max_running, 5u);
  EXPECT_EQ(options->tenants.at("b_1-x").weight, 1.0);
  EXPECT_EQ(options->tenants.at("b_1-x").max_running, UINT32_MAX);
  ASSERT_NE(options->keys.Find("key-of-b"), nullptr);
  EXPECT_EQ(*options->keys.Find("key-of-b"), "b_1-x");
}

TEST_F(ServeOptionsTest, RefusesTenantsThatMakeNoSense) {
  auto tenant = [](std::string_view name, std::string_view keys) {
    return fmt::format("[[tenant]]\nname = '{}'\nkeys = [{}]\n", name, keys);
  };
  std::string a = "'" + kKeyA + "'", b = "'" + kKeyB + "'";
  EXPECT_THAT(ProblemOf("[[tenant]]\nname = 'a'"), HasSubstr("tenant.keys is missing"));
  EXPECT_THAT(ProblemOf(tenant("a", "")), HasSubstr("inferq key create --tenant a"));
  EXPECT_THAT(ProblemOf(tenant("A", a)), HasSubstr("c.toml:2: tenant.name is 'A'"));
  EXPECT_THAT(ProblemOf(tenant(std::string(65, 'x'), a)), HasSubstr("tenant.name"));
  EXPECT_EQ(ProblemOf(tenant(std::string(64, 'x'), a)), "");
  EXPECT_THAT(ProblemOf(tenant("a", a) + tenant("a", b)), HasSubstr("as another tenant's"));
  EXPECT_THAT(ProblemOf(tenant("a", a) + tenant("b", a)), HasSubstr("a key of tenant 'a', too"));
  EXPECT_THAT(ProblemOf(tenant("a", "'iq-plain'")),
              AllOf(HasSubstr("inferq key hash"), Not(HasSubstr("iq-plain"))));
}

TEST_F(ServeOptionsTest, ReadsWebhooks) {
  std::string secret = WriteFile("secret", "whsec_MDEyMzQ1Njc4OWFiY2RlZg==\n");
  auto options = LoadIt(fmt::format(R"(
[webhooks]
retry_for = "1h"
[[webhook]]
url = "https://a.example/hook?x=1"
secret_file = "{0}"
[[webhook]]
url = "http://b.example:8080/"
secret_file = "{0}"
tenant = "ann"
events = ["batch.failed"]
)",
                                    secret));
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(options->webhooks.retry_for, 1h);
  EXPECT_FALSE(options->webhooks_allow_private);
  ASSERT_EQ(options->webhooks.endpoints.size(), 2u);
  const auto& [all, failed] =
      std::tie(options->webhooks.endpoints[0], options->webhooks.endpoints[1]);
  EXPECT_EQ(all.url, "https://a.example/hook?x=1");
  EXPECT_EQ(all.secret, "whsec_MDEyMzQ1Njc4OWFiY2RlZg==");
  EXPECT_EQ(all.tenant, "");
  EXPECT_EQ(all.events.size(), 4u);
  EXPECT_EQ(failed.tenant, "ann");
  EXPECT_THAT(failed.events, ElementsAre(model::BatchStatus::kFailed));
}

TEST_F(ServeOptionsTest, RefusesWebhooksThatMakeNoSense) {
  std::string good =
      fmt::format("secret_file = \"{}\"\n", WriteFile("secret", "whsec_MDEyMzQ1Njc4OWFiY2RlZg=="));
  std::string url = "[[webhook]]\nurl = \"https://a.example/\"\n";
  EXPECT_THAT(ProblemOf("[[webhook]]\n" + good), HasSubstr("url"));
  EXPECT_THAT(ProblemOf("[[webhook]]\nurl = \"ftp://a\"\n" + good), HasSubstr("webhook.url"));
  EXPECT_THAT(ProblemOf(url), HasSubstr("whsec_"));
  EXPECT_THAT(ProblemOf(url + "secret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZg==\"\n"),
              AllOf(HasSubstr("secret"), Not(HasSubstr("MDEyMzQ1"))));
  EXPECT_THAT(
      ProblemOf(url + fmt::format("secret_file = \"{}\"\n", WriteFile("other", "hunter22222"))),
      AllOf(HasSubstr("webhook.secret"), Not(HasSubstr("hunter"))));
  EXPECT_THAT(ProblemOf(url + good + "events = [\"batch.paused\"]\n"), HasSubstr("'batch.paused'"));
  EXPECT_THAT(ProblemOf(url + good + "tenant = \"bob\"\n[[tenant]]\nname = \"ann\"\nkeys = [\"" +
                        kKeyA + "\"]\n"),
              HasSubstr("'bob'"));
}

TEST_F(ServeOptionsTest, ChecksWhatOnlyShowsTogether) {
  EXPECT_THAT(ProblemOf("server = { body_limit = '2MiB', body_memory = '1MiB' }"),
              HasSubstr("more than server.body_memory"));
  EXPECT_THAT(ProblemOf("batch.windows = []"), HasSubstr("batch.windows is empty"));
  EXPECT_THAT(ProblemOf("batch.windows = ['soon']"), HasSubstr("'soon', which is no window"));
  EXPECT_THAT(ProblemOf("batch.windows = ['0h']"), HasSubstr("'0h'"));
  EXPECT_THAT(ProblemOf("store.directory = ''"), HasSubstr("store.directory is empty"));
}

TEST_F(ServeOptionsTest, TenantTomlIsReadBack) {
  auto options = LoadIt(TenantToml("team", "key-of-a"));
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_EQ(*options->keys.Find("key-of-a"), "team");
}

TEST_F(ServeOptionsTest, TheExampleIsRead) {
  flags_.push_back({"server.listen", "127.0.0.1:0"});
  config::Sources sources{"examples/inferq.toml", NoEnvironment, flags_};
  auto options = LoadServeOptions(sources, base::PosixFileSystem());
  ASSERT_TRUE(options) << options.error().message();
  EXPECT_THAT(ModelNames(*options), ElementsAre("fake"));
}

TEST(ConfigFlags, AreMadeOfTheDeclarations) {
  CLI::App app;
  ConfigFlags flags(app, ServeSchema());
  app.parse("--listen 127.0.0.1:1 --batch-max-attempts=5 --config a.toml");
  config::Sources sources = flags.sources();
  EXPECT_EQ(sources.file, "a.toml");
  ASSERT_EQ(sources.flags.size(), 2u);
  EXPECT_EQ(sources.flags[0].key, "server.listen");
  EXPECT_EQ(sources.flags[0].text, "127.0.0.1:1");
  EXPECT_EQ(sources.flags[1].key, "batch.max_attempts");
}

TEST(Docs, TheReferenceIsCurrent) {
  auto page = base::ReadFile(base::PosixFileSystem(), "docs/config.md");
  ASSERT_TRUE(page) << page.error().message();
  EXPECT_EQ(*page, config::MakeReference(ServeSchema()))
      << "write it anew: build/release/bin/inferq config docs > docs/config.md";
}

}  // namespace
}  // namespace inferq::app
