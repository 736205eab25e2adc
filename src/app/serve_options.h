#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/file_system.h"
#include "config/api_key.h"
#include "config/config.h"
#include "engine/shape/answer_shape.h"
#include "http/server.h"
#include "obs/log.h"
#include "queue/local/local_queue.h"
#include "sched/scheduler.h"
#include "service/blob_limits.h"
#include "service/service.h"
#include "service/webhook_types.h"

namespace inferq::app {

/// A model that the server offers, from a [[model]] or from a file of models.directory.
struct ModelOptions {
  enum class Kind : uint8_t { kGguf, kRemote, kFake };

  std::string name;
  Kind kind = Kind::kGguf;
  std::string path;           ///< kGguf.
  std::string adapter;        ///< kGguf: LoRA adapter; "" is none.
  double adapter_scale = 1;   ///< kGguf.
  std::string url;            ///< kRemote: base URL.
  std::string upstream_name;  ///< kRemote: the model's name there; "" is `name`.
  std::string api_key;        ///< kRemote; "" is none. Never shown.
  engine::AnswerShape shape{};
  uint32_t concurrency = 0;           ///< > 0.
  uint32_t reserved = 0;              ///< Of these, for interactive requests; < concurrency.
  uint32_t context_tokens = 0;        ///< kGguf; 0: the model's, at most 8192.
  uint32_t threads = 0;               ///< kGguf; 0: by machine.
  std::string cache = "auto";         ///< kGguf; "auto", "shared", "separate".
  base::Micros embed_window{10'000};  ///< kGguf, as the following.
  uint32_t embed_tokens = 0;          ///< 0: the context, at most 2048.
  std::string pooling = "model";      ///< "model", "mean", "cls", "last".
  bool normalize = true;
  base::Micros ttft{0};  ///< kFake, as the following.
  base::Micros itl{0};
  double fail_rate = 0;
  uint64_t tokens = 0;  ///< 0: drawn.
};

enum class LogFormat : uint8_t { kAuto, kJson, kText };

/// What `inferq serve` does, checked. docs/config.md describes each.
struct ServeOptions {
  http::ListenOptions listen;
  std::optional<http::ListenOptions> admin_listen;
  uint32_t io_threads = 0;  ///< 0: by machine.
  http::ServerLimits limits;
  uint64_t body_limit = 0;
  uint64_t upload_limit = 0;

  std::string data_directory;
  uint64_t min_free_bytes = 0;

  std::vector<ModelOptions> models;  ///< By name.
  base::Micros idle_unload{0};

  sched::OrderPolicy order;
  queue::RoomPolicy room;
  queue::RetentionPolicy retention;

  base::Micros hold{0};  ///< Of a stream's status.
  base::Micros keep_alive{0};

  std::vector<std::string> windows;
  uint64_t max_lines = 0;
  service::BatchLimits batches;
  base::Micros file_lifetime{0};  ///< Of files for batches, and of their output.
  uint64_t batch_file_limit = 0;  ///< Bytes of a file for batches.
  uint64_t parts_limit = 0;       ///< Bytes of an upload in parts.
  uint32_t max_attempts = 0;
  base::Micros drain_grace{0};

  service::BlobLimits blobs;
  service::WebhookOptions webhooks;
  bool webhooks_allow_private = false;

  obs::Level log_level = obs::Level::kInfo;
  LogFormat log_format = LogFormat::kAuto;

  std::map<std::string, sched::TenantPolicy> tenants;
  config::TenantKeys keys;
};

/// Everything that can be configured.
const config::Schema& ServeSchema();

/// The GGUF files of a folder as models, sorted by file name; none when the folder is not there.
base::Result<std::vector<ModelOptions>> FindModels(base::FileSystem& files,
                                                   const std::string& directory);

/// Loads and checks. kInvalidArgument: sentences for a person, one problem a line.
base::Result<ServeOptions> LoadServeOptions(const config::Sources& sources,
                                            base::FileSystem& files);

}  // namespace inferq::app
