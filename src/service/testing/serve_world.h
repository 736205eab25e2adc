#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/rng.h"
#include "engine/fake/fake_engine.h"
#include "service/service.h"
#include "testing/sim_disk.h"
#include "testing/sim_runtime.h"
#include "testing/sim_vfs.h"

namespace inferq::service::testing {

/// A batch input line for the chat endpoint.
std::string ChatLine(const std::string& custom_id, const std::string& model = "m",
                     int max_tokens = 3);
/// `count` of them, "id-0", "id-1", …
std::string ChatLines(int count, const std::string& model = "m");

/// A service in one process, over a store on a simulated disk, with the fake engine as models
/// "m" and "n", under a virtual clock. For a death of the process cut the disk's power, then
/// destroy it.
class Process {
 public:
  struct Options {
    uint64_t seed = 1;
    base::Micros blocking_delay{0};
    engine::FakeOptions engine{.ttft = base::Micros(20'000), .itl = base::Micros(2'000)};
    uint32_t slots = 8;
    uint32_t reserved = 1;
    uint64_t max_live_tasks = 10'000'000;
    std::function<void(ServiceOptions&)> adjust = [](ServiceOptions&) {};
    std::function<base::Result<uint64_t>()> free_bytes{};
    std::function<PostWebhook(runtime::Runtime&)> post_webhook{};
  };
  Process(inferq::testing::SimDisk& disk, Options options);
  ~Process();

  /// Starts Run and waits until it is ready. False: it ended, or is not ready after an hour.
  bool Start();
  /// Drains; @return what Run returned.
  base::Result<> Stop(base::Micros grace = base::Micros(10'000'000));
  /// Whether Run has returned.
  bool ended() const { return ended_.has_value(); }
  const base::Result<>& ending() const { return *ended_; }

  Service& service() { return *service_; }
  inferq::testing::SimRuntime& sim() { return sim_; }
  /// The engine of "m" while it is loaded, else null.
  engine::FakeEngine* engine() { return engine_; }
  int engine_starts() const { return engine_starts_; }

  // What clients do, to the end.

  template <class T>
  T Do(Awaitable<T> call) {
    return sim_.Run(std::move(call));
  }
  base::Result<model::FileRecord> UploadText(const Caller& caller, std::string text,
                                             std::string purpose = "batch");
  base::Result<BatchView> CreateBatch(const Caller& caller, const std::string& file_id);
  /// Asks until the batch has one of the final states; fails with kUnavailable when the service
  /// ended before.
  base::Result<BatchView> AwaitBatch(const Caller& caller, const std::string& id);
  base::Result<std::string> ReadFile(const Caller& caller, const std::string& id);
  /// custom_id -> how often, over both files of a batch.
  base::Result<std::map<std::string, int>> CountLines(const Caller& caller, const BatchView& batch);

 private:
  Awaitable<void> RunService();
  Awaitable<base::Result<model::FileRecord>> Upload(Caller caller, std::string text,
                                                    std::string purpose);

  inferq::testing::SimRuntime sim_;
  inferq::testing::SimVfs vfs_;
  std::unique_ptr<Service> service_;
  engine::FakeEngine* engine_ = nullptr;
  int engine_starts_ = 0;
  bool started_ = false;
  std::optional<base::Result<>> ended_;
};

}  // namespace inferq::service::testing
