#include "client/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "http/asio_dialer.h"
#include "http/testing/test_server.h"

namespace inferq::client {
namespace {

using namespace std::chrono_literals;
using base::Code;
using base::Result;
using http::FindHeader;
using http::testing::Answer;
using http::testing::Hangup;
using http::testing::Held;
using http::testing::Reply;
using http::testing::Seen;
using http::testing::TestServer;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kBatch =
    R"({"id":"batch_1","status":"validating","request_counts":{"total":2,"completed":0,"failed":0}})";
constexpr std::string_view kFile = R"({"id":"file-1","bytes":5,"purpose":"batch","filename":"a"})";

template <class T>
Awaitable<void> Into(Awaitable<Result<T>> call, Result<T>& out) {
  out = co_await std::move(call);
}

Reply Cut(std::string bytes) {
  return {.parts = {{.bytes = std::move(bytes)}}, .then = Reply::Then::kClose};
}

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() : dialer_(*http::MakeAsioDialer(runtime_)) {
    options_.base_url = server_.url() + "/v1/";
    options_.api_key = "sk-secret";
    options_.first_pause = 1ms;
    options_.longest_pause = 2ms;
    options_.cancel = std::make_shared<runtime::Cancellation>();
  }

  // Runs one call of a new client to its end.
  template <class T>
  Result<T> Call(std::function<Awaitable<Result<T>>(Client&)> call) {
    Result<T> out = base::Fail(Code::kInternal, "not called");
    Client client(runtime_, *dialer_, options_);
    runtime_.SpawnDetached(ToEnd(client, Into(call(client), out)));
    runtime_.Run();
    return out;
  }
  Awaitable<void> ToEnd(Client& client, Awaitable<void> body) {
    co_await std::move(body);
    client.CloseIdle();
    co_await server_.Stop();
    runtime_.Stop();
  }
  Result<Batch> Get(std::string id = "batch_1") {
    return Call<Batch>([id](Client& client) { return client.GetBatch(id); });
  }
  Result<Batch> Create() {
    return Call<Batch>([](Client& client) { return client.CreateBatch({.input_file_id = "f"}); });
  }
  Result<uint64_t> DownloadFrom(uint64_t offset) {
    auto sink = [this](uint64_t at, std::string_view bytes) -> Result<> {
      if (sink_fails_) return base::Fail(Code::kResourceExhausted, "the disk is full");
      got_.resize(std::max<size_t>(got_.size(), at + bytes.size()), '.');
      got_.replace(at, bytes.size(), bytes);
      return {};
    };
    return Call<uint64_t>([=](Client& client) { return client.Download("f", offset, sink, {}); });
  }
  // Answers with one reply after the other, the last for good.
  void Script(std::vector<Reply> replies) {
    server_.set_handler([replies, n = size_t{0}](const Seen&) mutable {
      return replies[std::min(n++, replies.size() - 1)];
    });
  }
  size_t requests() const { return server_.seen().size(); }
  std::string HeaderOf(size_t request, std::string_view name) const {
    return std::string(FindHeader(server_.seen()[request].headers, name).value_or(""));
  }
  static std::string Text(const auto& result) { return result ? "OK" : result.error().ToString(); }

  runtime::AsioRuntime runtime_;
  std::unique_ptr<runtime::Dialer> dialer_;
  TestServer server_{runtime_, [](const Seen&) { return Answer(200, kBatch); }};
  ClientOptions options_;
  std::string got_;
  bool sink_fails_ = false;
};

TEST_F(ApiTest, SendsTheKeyAndReadsTheBatch) {
  auto batch = Get("a/b?c");
  ASSERT_TRUE(batch) << Text(batch);
  EXPECT_EQ(batch->id, "batch_1");
  EXPECT_EQ(batch->counts.total, 2u);
  EXPECT_EQ(server_.seen()[0].target, "/v1/batches/a%2Fb%3Fc");
  EXPECT_EQ(HeaderOf(0, "authorization"), "Bearer sk-secret");
}

TEST_F(ApiTest, AnErrorCarriesTheServersWordsAndNotTheKey) {
  Script({Answer(
      404, R"({"error":{"message":"No batch sk-secret.","type":"t","param":"id","code":"gone"}})",
      "x-request-id: req_7\r\n")});
  auto batch = Get();
  EXPECT_THAT(Text(batch),
              AllOf(HasSubstr("not_found"), HasSubstr("No batch [key]."),
                    HasSubstr("field id, code gone, request req_7"), Not(HasSubstr("secret"))));
  EXPECT_EQ(requests(), 1u);
}

TEST_F(ApiTest, AnAnswerThatIsNotJsonIsASentence) {
  Script({Answer(200, "<html>")});
  EXPECT_THAT(Text(Get()), AllOf(HasSubstr("not JSON"), HasSubstr("OpenAI-compatible")));
}

class Passing : public ApiTest, public ::testing::WithParamInterface<int> {};
TEST_P(Passing, IsTriedAgain) {
  Script({Answer(GetParam(), "{}"), Answer(GetParam(), "{}"), Answer(200, kBatch)});
  EXPECT_TRUE(Get());
  EXPECT_EQ(requests(), 3u);
}
INSTANTIATE_TEST_SUITE_P(Statuses, Passing, ::testing::Values(408, 409, 429, 500, 502, 503));

TEST_F(ApiTest, AConnectionThatBreaksIsTriedAgain) {
  Script({Hangup(), Answer(200, kBatch)});
  EXPECT_TRUE(Get());
  EXPECT_EQ(requests(), 2u);
}

TEST_F(ApiTest, TheServerHasTheLastWordOnRetries) {
  Script({Answer(409, "{}", "x-should-retry: false\r\n")});
  EXPECT_THAT(Text(Get()), HasSubstr("409"));
  EXPECT_EQ(requests(), 1u);
}

TEST_F(ApiTest, TheServerMayForceARetry) {
  Script({Answer(400, "{}", "x-should-retry: true\r\n"), Answer(200, kBatch)});
  EXPECT_TRUE(Create());
  EXPECT_EQ(requests(), 2u);
}

TEST_F(ApiTest, RetryAfterIsWaitedFor) {
  Script({Answer(429, "{}", "Retry-After-Ms: 40\r\n"), Answer(200, kBatch)});
  auto begun = runtime_.clock().Steady();
  EXPECT_TRUE(Get());
  EXPECT_GE(runtime_.clock().Steady() - begun, 40ms);
}

TEST_F(ApiTest, AWaitBeyondThePatienceIsNotBegun) {
  Script({Answer(429, "{}", "Retry-After: 3600\r\n")});
  EXPECT_THAT(Text(Get()), HasSubstr("429"));
  EXPECT_EQ(requests(), 1u);
}

TEST_F(ApiTest, PatienceEnds) {
  options_.give_up_after = 20ms;
  Script({Answer(503, "{}")});
  EXPECT_FALSE(Get());
  EXPECT_GT(requests(), 1u);
}

TEST_F(ApiTest, CancelEndsAPause) {
  server_.set_handler([this](const Seen&) {
    runtime_.Post([this] { runtime_.Post([this] { options_.cancel->Cancel(); }); });
    return Answer(503, "{}", "Retry-After: 60\r\n");
  });
  EXPECT_THAT(Text(Get()), HasSubstr("cancelled"));
}

TEST_F(ApiTest, APauseAfterCancelIsRefused) {
  options_.cancel->Cancel();
  auto paused = Call<void>([](Client& client) { return client.Pause(1h); });
  EXPECT_THAT(Text(paused), HasSubstr("cancelled"));
}

TEST_F(ApiTest, ABatchIsCreatedWithAKeyAndItsMetadata) {
  auto batch = Call<Batch>([](Client& client) {
    return client.CreateBatch({.input_file_id = "file-1", .metadata = {{"a", "\"x\""}}});
  });
  ASSERT_TRUE(batch) << Text(batch);
  EXPECT_THAT(HeaderOf(0, "idempotency-key"), ::testing::MatchesRegex("inferq-[0-9a-f]{32}"));
  auto sent = wire::ParseJson(server_.seen()[0].body);
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->Find("input_file_id")->AsString(), "file-1");
  EXPECT_EQ(sent->Find("completion_window")->AsString(), "24h");
  EXPECT_EQ(sent->Find("metadata")->Find("a")->AsString(), "\"x\"");
}

TEST_F(ApiTest, ACreationWhoseAnswerIsLostIsNotSentAgain) {
  Script({Hangup(), Answer(200, kBatch)});
  EXPECT_THAT(Text(Create()), HasSubstr("may have taken the request"));
  EXPECT_EQ(requests(), 1u);
}

TEST_F(ApiTest, ACreationThatFailedInTheServerIsNotSentAgain) {
  Script({Answer(502, "{}"), Answer(200, kBatch)});
  EXPECT_THAT(Text(Create()), HasSubstr("502"));
  EXPECT_EQ(requests(), 1u);
}

TEST_F(ApiTest, ACreationThatWasTurnedAwayIsSentAgain) {
  Script({Answer(429, "{}"), Answer(503, "{}", "Retry-After: 0\r\n"), Answer(200, kBatch)});
  EXPECT_TRUE(Create());
  EXPECT_EQ(requests(), 3u);
}

TEST_F(ApiTest, WhereItIsSafeACreationIsSentAgainUnderTheSameKey) {
  options_.repeat_creations = true;
  Script({Hangup(), Answer(500, "{}"), Answer(200, kBatch)});
  EXPECT_TRUE(Create());
  ASSERT_EQ(requests(), 3u);
  EXPECT_EQ(HeaderOf(0, "idempotency-key"), HeaderOf(2, "idempotency-key"));
}

TEST_F(ApiTest, AllPagesAreRead) {
  Script({Answer(200,
                 R"({"data":[{"id":"b3","status":"s"},{"id":"b2","status":"s"}],"has_more":true})"),
          Answer(200, R"({"data":[{"id":"b1","status":"s"}],"has_more":false})")});
  auto all = Call<std::vector<Batch>>([](Client& client) { return client.ListBatches(0); });
  ASSERT_TRUE(all) << Text(all);
  EXPECT_EQ(all->size(), 3u);
  EXPECT_EQ(server_.seen()[0].target, "/v1/batches?limit=100");
  EXPECT_EQ(server_.seen()[1].target, "/v1/batches?limit=100&after=b2");
}

TEST_F(ApiTest, AListEndsAtItsLimit) {
  Script({Answer(200, R"({"data":[{"id":"f3"},{"id":"f2"}],"has_more":true})")});
  auto some = Call<std::vector<File>>([](Client& client) { return client.ListFiles("batch", 2); });
  ASSERT_TRUE(some) << Text(some);
  EXPECT_EQ(some->size(), 2u);
  ASSERT_EQ(requests(), 1u);
  EXPECT_EQ(server_.seen()[0].target, "/v1/files?purpose=batch&limit=2");
}

TEST_F(ApiTest, PagesThatDoNotEndAreRefused) {
  Script({Answer(200, R"({"data":[{"id":"f1"}],"has_more":true})")});
  auto all = Call<std::vector<File>>([](Client& client) { return client.ListFiles("", 0); });
  EXPECT_THAT(Text(all), HasSubstr("do not end"));
}

TEST_F(ApiTest, AnEmptyPageEndsAList) {
  Script({Answer(200, R"({"data":[],"has_more":true})")});
  auto all = Call<std::vector<File>>([](Client& client) { return client.ListFiles("", 0); });
  ASSERT_TRUE(all) << Text(all);
  EXPECT_TRUE(all->empty());
}

class UploadTest : public ApiTest {
 protected:
  UploadTest() {
    char path[] = "/tmp/inferq_upload_XXXXXX";
    int fd = mkstemp(path);
    INFERQ_CHECK(fd >= 0);
    close(fd);
    path_ = path;
    file_ = *base::PosixFileSystem().Open(path_, base::OpenMode::kReadWrite);
  }
  ~UploadTest() override { unlink(path_.c_str()); }
  Result<File> Upload() {
    return Call<File>([this](Client& client) {
      return client.Upload({.file = file_, .filename = "a \"b\".jsonl", .on_bytes = on_bytes_});
    });
  }

  std::string path_;
  std::shared_ptr<base::File> file_;
  OnBytes on_bytes_;
};

TEST_F(UploadTest, SendsAForm) {
  Script({Answer(200, kFile)});
  std::string content(700'000, 'x');
  ASSERT_TRUE(file_->WriteAt(0, content));
  std::vector<uint64_t> seen;
  on_bytes_ = [&](uint64_t done, uint64_t total) {
    EXPECT_EQ(total, 700'000u);
    seen.push_back(done);
  };
  auto file = Upload();
  ASSERT_TRUE(file) << Text(file);
  EXPECT_EQ(file->id, "file-1");
  std::string type = HeaderOf(0, "content-type");
  ASSERT_THAT(type, ::testing::StartsWith("multipart/form-data; boundary="));
  std::string boundary = type.substr(type.find('=') + 1);
  EXPECT_TRUE(server_.seen()[0].body ==
              "--" + boundary +
                  "\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--" +
                  boundary +
                  "\r\nContent-Disposition: form-data; name=\"file\"; "
                  "filename=\"a %22b%22.jsonl\"\r\nContent-Type: application/octet-stream\r\n\r\n" +
                  content + "\r\n--" + boundary + "--\r\n");
  ASSERT_FALSE(seen.empty());
  EXPECT_EQ(seen.back(), 700'000u);
  EXPECT_THAT(HeaderOf(0, "idempotency-key"), HasSubstr("inferq-"));
}

TEST_F(UploadTest, AnEmptyFileIsSentToo) {
  Script({Answer(200, kFile)});
  EXPECT_TRUE(Upload());
}

TEST_F(UploadTest, WhenTurnedAwayItIsSentFromItsBeginning) {
  Script({Answer(429, "{}"), Answer(200, kFile)});
  ASSERT_TRUE(file_->WriteAt(0, "hello"));
  EXPECT_TRUE(Upload());
  ASSERT_EQ(requests(), 2u);
  EXPECT_EQ(server_.seen()[0].body, server_.seen()[1].body);
}

TEST_F(UploadTest, PatienceEndsThoughTheServerAnswers) {
  options_.give_up_after = 20ms;
  Script({Answer(429, "{}")});
  EXPECT_THAT(Text(Upload()), HasSubstr("429"));
}

TEST_F(UploadTest, AFileThatShrinksEndsTheUpload) {
  ASSERT_TRUE(file_->WriteAt(0, std::string(700'000, 'x')));
  on_bytes_ = [this](uint64_t, uint64_t) { EXPECT_TRUE(file_->Truncate(1000)); };
  EXPECT_THAT(Text(Upload()), HasSubstr("became shorter"));
}

TEST_F(ApiTest, ResultsComeWithTheirOffset) {
  Script(
      {Answer(503, "{}", "Retry-After: 0\r\n"),
       Answer(200, "{}\n{}\n", "X-Inferq-Next-Offset: a1.2.3.4\r\nX-Inferq-Has-More: false\r\n")});
  auto results = Call<Results>(
      [](Client& client) { return client.ReadResults("batch_1", "a1.0.0.0", "failed"); });
  ASSERT_TRUE(results) << Text(results);
  EXPECT_EQ(results->lines, "{}\n{}\n");
  EXPECT_EQ(results->next, "a1.2.3.4");
  EXPECT_FALSE(results->has_more);
  EXPECT_EQ(server_.seen()[1].target,
            "/v1/batches/batch_1/results?limit=10000&after=a1.0.0.0&status=failed");
}

TEST_F(ApiTest, AServerWithoutThemSaysSo) {
  Script({Answer(200, "<html>")});
  auto results =
      Call<Results>([](Client& client) { return client.ReadResults("batch_1", "", ""); });
  EXPECT_THAT(Text(results), HasSubstr("batches that run"));
}

TEST_F(ApiTest, WhatChangesOfABatchIsSent) {
  Script({Answer(200, kBatch)});
  BatchChange change{.priority = -5, .deadline = base::WallTime(1'700'000'000'500ms)};
  EXPECT_TRUE(
      Call<Batch>([change](Client& client) { return client.EditBatch("batch_1", change); }));
  EXPECT_EQ(server_.seen()[0].method, "PATCH");
  EXPECT_EQ(server_.seen()[0].body, R"({"priority":-5,"deadline":1700000000})");
}

TEST_F(ApiTest, ADeadlineIsTakenAway) {
  Script({Answer(200, kBatch)});
  BatchChange change{.priority = {}, .deadline = std::optional<base::WallTime>()};
  EXPECT_TRUE(
      Call<Batch>([change](Client& client) { return client.EditBatch("batch_1", change); }));
  EXPECT_EQ(server_.seen()[0].body, R"({"deadline":null})");
}

TEST_F(ApiTest, APauseIsACall) {
  Script({Answer(200, kBatch)});
  EXPECT_TRUE(Call<Batch>([](Client& client) { return client.PauseBatch("batch_1", true); }));
  EXPECT_EQ(server_.seen()[0].target, "/v1/batches/batch_1/pause");
}

TEST_F(ApiTest, ARetryIsACallWithAKey) {
  Script({Answer(200, kBatch)});
  EXPECT_TRUE(Call<Batch>([](Client& client) { return client.RetryBatch("batch_1"); }));
  EXPECT_EQ(server_.seen()[0].target, "/v1/batches/batch_1/retry");
  EXPECT_THAT(HeaderOf(0, "idempotency-key"), HasSubstr("inferq-"));
}

TEST_F(ApiTest, ADownloadGoesOnWhereItBroke) {
  Script({Cut("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123"),
          Answer(206, "456789", "Content-Range: bytes 4-9/10\r\n")});
  auto size = DownloadFrom(0);
  ASSERT_TRUE(size) << Text(size);
  EXPECT_EQ(*size, 10u);
  EXPECT_EQ(got_, "0123456789");
  EXPECT_EQ(HeaderOf(0, "range"), "");
  EXPECT_EQ(HeaderOf(1, "range"), "bytes=4-");
  EXPECT_EQ(server_.seen()[0].target, "/v1/files/f/content");
}

TEST_F(ApiTest, AServerThatKnowsNoRangesSendsAllAndWhatIsThereIsSkipped) {
  Script({Answer(200, "0123456789")});
  auto size = DownloadFrom(4);
  ASSERT_TRUE(size) << Text(size);
  EXPECT_EQ(got_, "....456789");
}

TEST_F(ApiTest, ADownloadThatIsThereAlreadyIsDone) {
  Script({Answer(416, "{}", "Content-Range: bytes */10\r\n")});
  auto size = DownloadFrom(10);
  ASSERT_TRUE(size) << Text(size);
  EXPECT_EQ(*size, 10u);
}

TEST_F(ApiTest, AFileThatIsShorterThanWhatIsThereIsRefused) {
  Script({Answer(200, "0123")});
  EXPECT_THAT(Text(DownloadFrom(7)), AllOf(HasSubstr("data_loss"), HasSubstr("shorter")));
}

TEST_F(ApiTest, ARangeOfThePastIsRefused) {
  Script({Answer(416, "{}", "Content-Range: bytes */5\r\n")});
  EXPECT_THAT(Text(DownloadFrom(7)), HasSubstr("416"));
}

TEST_F(ApiTest, OtherBytesThanAskedForAreRefused) {
  Script({Answer(206, "0123", "Content-Range: bytes 0-3/10\r\n")});
  EXPECT_THAT(Text(DownloadFrom(4)), HasSubstr("other bytes"));
  EXPECT_EQ(got_, "");
  EXPECT_EQ(requests(), 1u);
}

TEST_F(ApiTest, AMissingFileIsNotTriedAgain) {
  Script({Answer(404, R"({"error":{"message":"No such File"}})")});
  EXPECT_THAT(Text(DownloadFrom(0)), HasSubstr("No such File"));
  EXPECT_EQ(requests(), 1u);
}

TEST_F(ApiTest, AFullDiskEndsADownload) {
  sink_fails_ = true;
  Script({Answer(200, "0123")});
  EXPECT_THAT(Text(DownloadFrom(0)), HasSubstr("the disk is full"));
  EXPECT_EQ(requests(), 1u);
}

}  // namespace
}  // namespace inferq::client
