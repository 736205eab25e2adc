#include "service/testing/serve_world.h"

#include "catalog/sqlite_catalog.h"
#include "queue/local/local_queue.h"
#include "queue/local/sqlite_journal.h"
#include "wire/batch_line.h"

namespace inferq::service::testing {

using namespace std::chrono_literals;
using base::Code;
using base::Result;

std::string ChatLine(const std::string& custom_id, const std::string& model, int max_tokens) {
  return fmt::format(
      R"({{"custom_id":"{}","method":"POST","url":"/v1/chat/completions","body":{{"model":"{}",)"
      R"("messages":[{{"role":"user","content":"question {}"}}],"max_tokens":{}}}}})"
      "\n",
      custom_id, model, custom_id, max_tokens);
}

std::string ChatLines(int count, const std::string& model) {
  std::string text;
  for (int i = 0; i < count; ++i) text += ChatLine(fmt::format("id-{}", i), model);
  return text;
}

Process::Process(inferq::testing::SimDisk& disk, Options options)
    : sim_({.seed = options.seed, .max_blocking_delay = options.blocking_delay}),
      vfs_(disk, fmt::format("serve-{}-{}", options.seed, disk.operations())) {
  ServiceEnvironment environment{
      .runtime = sim_,
      .files = disk,
      .make_queue =
          [this, most = options.max_live_tasks](const std::string& path,
                                                queue::ReadLines read_lines) {
            queue::LocalQueueOptions queue;
            queue.room.tasks = most;
            queue.read_lines = std::move(read_lines);
            return queue::MakeLocalQueue(
                sim_, queue::MakeSqliteJournal({.path = path, .vfs = vfs_.name()}), queue);
          },
      .make_catalog =
          [this](const std::string& path) {
            return catalog::MakeSqliteCatalog(sim_, {.path = path, .vfs = vfs_.name()});
          },
      .free_bytes = options.free_bytes,
      .post_webhook = options.post_webhook ? options.post_webhook(sim_) : PostWebhook{},
      .seed = options.seed};
  ServiceOptions service;
  service.directory = "/data";
  for (const char* name : {"m", "n"}) {
    auto make = [this, engine = options.engine,
                 main =
                     std::string_view(name) == "m"]() -> Result<std::unique_ptr<engine::Engine>> {
      INFERQ_ASSIGN(auto made, engine::MakeFakeEngine(sim_, engine));
      if (main) {
        engine_ = made.get();
        ++engine_starts_;
      }
      return made;
    };
    service.models.push_back({.name = name,
                              .owner = "inferq",
                              .engine = "fake",
                              .since = {},
                              .local = true,
                              .slots = options.slots,
                              .reserved = options.reserved,
                              .make_engine = make});
  }
  options.adjust(service);
  service_ = std::make_unique<Service>(std::move(environment), std::move(service));
}

// Coroutines end before what they stand on goes.
Process::~Process() {
  if (started_ && !ended()) (void)Stop(0ms);
  sim_.RunUntilIdle();
}

Awaitable<void> Process::RunService() { ended_ = co_await service_->Run(); }

bool Process::Start() {
  started_ = true;
  sim_.SpawnDetached(RunService());
  sim_.RunUntil([this] { return ended() || service_->health().ready; }, 1h);
  return service_->health().ready;
}

Result<> Process::Stop(base::Micros grace) {
  service_->Drain(sim_.clock().Steady() + grace);
  sim_.RunUntil([this] { return ended(); }, 1h);
  if (!ended()) return base::Fail(Code::kDeadlineExceeded, "the service does not stop");
  return *ended_;
}

Result<model::FileRecord> Process::UploadText(const Caller& caller, std::string text,
                                              std::string purpose) {
  return Do(Upload(caller, std::move(text), std::move(purpose)));
}

Awaitable<Result<model::FileRecord>> Process::Upload(Caller caller, std::string text,
                                                     std::string purpose) {
  INFERQ_CO_ASSIGN(auto upload, co_await service_->BeginUpload(caller));
  for (size_t at = 0; at < text.size(); at += 1000) {
    INFERQ_CO_TRY(co_await upload->Append(sim_, text.substr(at, 1000)));
  }
  NewFile file{.filename = "input.jsonl", .purpose = std::move(purpose), .expires_after = {}};
  co_return co_await service_->FinishUpload(caller, std::move(file), std::move(upload));
}

Result<BatchView> Process::CreateBatch(const Caller& caller, const std::string& file_id) {
  NewBatch batch{.input_file_id = file_id,
                 .endpoint = "/v1/chat/completions",
                 .completion_window = "24h",
                 .metadata = {{"origin", "test"}},
                 .output_expires_after = {}};
  return Do(service_->CreateBatch(caller, std::move(batch)));
}

Result<BatchView> Process::AwaitBatch(const Caller& caller, const std::string& id) {
  Result<BatchView> view = base::Fail(Code::kInternal, "not asked yet");
  auto settled = [&] {
    if (ended()) return true;
    view = Do(service_->GetBatch(caller, id));
    return view && IsTerminal(view->record.status);
  };
  for (int i = 0; i < 1'000'000 && !settled(); ++i) sim_.RunFor(50ms);
  if (ended()) return base::Fail(Code::kUnavailable, "the service ended");
  return view;
}

Result<std::string> Process::ReadFile(const Caller& caller, const std::string& id) {
  INFERQ_ASSIGN(auto content, Do(service_->OpenContent(caller, id)));
  return Do(content->Read(sim_, 0, content->file().bytes));
}

Result<std::map<std::string, int>> Process::CountLines(const Caller& caller,
                                                       const BatchView& batch) {
  std::map<std::string, int> counts;
  for (const std::string& id : {batch.record.output_file_id, batch.record.error_file_id}) {
    if (id.empty()) continue;
    INFERQ_ASSIGN(std::string text, ReadFile(caller, id));
    for (size_t begin = 0, end; begin < text.size(); begin = end + 1) {
      end = text.find('\n', begin);
      if (end == text.npos) return base::Fail(Code::kDataLoss, "{} ends in a torn line", id);
      INFERQ_ASSIGN(auto line,
                    wire::ParseBatchOutput(std::string_view(text).substr(begin, end - begin)));
      ++counts[line.custom_id];
    }
  }
  return counts;
}

}  // namespace inferq::service::testing
