#include "app/serve_options.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "http/url.h"
#include "http/webhook_signature.h"

namespace inferq::app {
namespace {

using base::Code;
using base::Fail;
using base::Result;
using config::Bytes;
using config::Settings;
using Kind = ModelOptions::Kind;

constexpr uint32_t kLocalConcurrency = 16;
constexpr uint32_t kOtherConcurrency = 32;
constexpr uint32_t kMaxLocalConcurrency = 256;  // sequences of a context of llama.cpp
constexpr size_t kLongestModelName = 256;
constexpr size_t kMostEndings = 16;  // as many as a request's `stop` may have
constexpr size_t kLongestEnding = 1024;
constexpr size_t kLongestTenantName = 64;

// A failure about a value: "inferq.toml:12: model.name ...".
template <class... Args>
std::unexpected<base::Error> Refuse(const Settings& from, std::string_view key,
                                    std::string_view shown_key, fmt::format_string<Args...> format,
                                    Args&&... args) {
  return Fail(Code::kInvalidArgument, "{}: {} {}", from.origin(key), shown_key,
              fmt::format(format, std::forward<Args>(args)...));
}

uint32_t Small(const Settings& from, std::string_view key) {
  return static_cast<uint32_t>(from.Get<int64_t>(key));  // its bounds are those of the type or less
}

uint64_t Size(const Settings& from, std::string_view key) { return from.Get<Bytes>(key).count; }

bool IsAddress(const std::string& host) {
  in6_addr unused;
  return ::inet_pton(AF_INET, host.c_str(), &unused) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), &unused) == 1;
}

bool IsLoopback(const std::string& host) {
  in_addr v4;
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::optional<http::ListenOptions> ParseListen(std::string_view text) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  http::ListenOptions listen;
  listen.host = host == "localhost" ? "127.0.0.1" : std::string(host);
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), listen.port);
  bool is_number = error == std::errc() && end == port.data() + port.size();
  bool is_v6 = host.find(':') != std::string_view::npos;
  if (!is_number || !IsAddress(listen.host) || is_v6 != bracketed) return std::nullopt;
  return listen;
}

Result<http::ListenOptions> ListenAt(const Settings& from, std::string_view key) {
  const auto& text = from.Get<std::string>(key);
  if (auto listen = ParseListen(text)) return *listen;
  return Refuse(
      from, key, key,
      "is '{}'; write an IP address and a port, for example 127.0.0.1:8080, [::1]:8080, or "
      "0.0.0.0:8080 for all addresses",
      text);
}

Result<> ReadServer(const Settings& from, ServeOptions& options) {
  INFERQ_ASSIGN(options.listen, ListenAt(from, "server.listen"));
  if (!from.Get<std::string>("server.admin_listen").empty()) {
    INFERQ_ASSIGN(options.admin_listen, ListenAt(from, "server.admin_listen"));
  }
  options.io_threads = Small(from, "server.io_threads");
  options.limits.max_connections = Small(from, "server.max_connections");
  options.limits.head_timeout = from.Get<base::Micros>("server.head_timeout");
  options.limits.idle_timeout = from.Get<base::Micros>("server.idle_timeout");
  options.limits.write_stall = from.Get<base::Micros>("server.write_stall");
  options.limits.body_memory = Size(from, "server.body_memory");
  options.limits.body_ratio_max = Small(from, "server.body_ratio");
  options.body_limit = Size(from, "server.body_limit");
  options.upload_limit = Size(from, "server.upload_limit");
  if (options.body_limit > options.limits.body_memory) {
    return Refuse(from, "server.body_limit", "server.body_limit",
                  "is more than server.body_memory: no such body would ever be taken");
  }
  return {};
}

obs::Level LevelOf(const std::string& name) {
  constexpr obs::Level kLevels[] = {obs::Level::kDebug, obs::Level::kInfo, obs::Level::kWarning,
                                    obs::Level::kError};
  return *std::ranges::find(kLevels, name, obs::LevelName);
}

LogFormat FormatOf(const std::string& name) {
  return name == "json" ? LogFormat::kJson : name == "text" ? LogFormat::kText : LogFormat::kAuto;
}

// 0: no bound.
uint64_t Bound(uint64_t value) { return value == 0 ? UINT64_MAX : value; }

uint64_t Count(const Settings& from, std::string_view key) {
  return static_cast<uint64_t>(from.Get<int64_t>(key));
}

void ReadQueue(const Settings& from, ServeOptions& options) {
  options.order.aging_per_second = from.Get<double>("order.aging_per_second");
  options.order.prefix_window = from.Get<base::Micros>("order.prefix_window");
  options.room.tasks = Count(from, "queue.max_tasks");
  options.room.tasks_per_tenant = Bound(Count(from, "queue.max_tasks_per_tenant"));
  options.room.bytes = Size(from, "queue.max_bytes");
  options.room.bytes_per_tenant = Bound(Size(from, "queue.max_bytes_per_tenant"));
  options.retention.age = from.Get<base::Micros>("retention.age");
  options.retention.count = Count(from, "retention.count");
  options.retention.bytes = Size(from, "retention.bytes");
}

// Those of OpenAI, where ours are wider.
void NarrowToOpenAi(ServeOptions& options) {
  constexpr uint64_t kMiB = 1u << 20;
  auto narrow = [](uint64_t& bound, uint64_t most) { bound = std::min(bound, most); };
  narrow(options.max_lines, 50'000);
  narrow(options.upload_limit, 512 * kMiB);
  narrow(options.batch_file_limit, 200 * kMiB);
  narrow(options.parts_limit, 8192 * kMiB);
  narrow(options.batches.bytes, 200 * kMiB);
  narrow(options.batches.inputs, 50'000);
  options.batches.creations_per_hour = 2000;
}

void ReadBatchLimits(const Settings& from, ServeOptions& options) {
  options.max_lines = Small(from, "batch.max_lines");
  options.file_lifetime = from.Get<base::Micros>("batch.file_lifetime");
  options.batches.enqueued_tokens = Count(from, "batch.enqueued_tokens");
  options.batch_file_limit = options.upload_limit;
  options.parts_limit = options.upload_limit;
  if (from.Get<bool>("openai_limits")) NarrowToOpenAi(options);
}

Result<> ReadWork(const Settings& from, ServeOptions& options) {
  ReadQueue(from, options);
  options.data_directory = from.Get<std::string>("store.directory");
  options.min_free_bytes = Size(from, "store.min_free");
  options.idle_unload = from.Get<base::Micros>("models.idle_unload");
  options.hold = from.Get<base::Micros>("online.hold");
  options.keep_alive = from.Get<base::Micros>("online.keep_alive");
  options.windows = from.Get<config::Texts>("batch.windows");
  ReadBatchLimits(from, options);
  options.max_attempts = Small(from, "batch.max_attempts");
  options.blobs.count = Count(from, "blobs.max_count");
  options.blobs.bytes = Size(from, "blobs.max_bytes");
  options.drain_grace = from.Get<base::Micros>("drain.grace");
  options.log_level = LevelOf(from.Get<std::string>("log.level"));
  options.log_format = FormatOf(from.Get<std::string>("log.format"));
  if (options.data_directory.empty()) {
    return Refuse(from, "store.directory", "store.directory", "is empty; name a folder");
  }
  if (options.windows.empty()) {
    return Refuse(from, "batch.windows", "batch.windows", "is empty; name a window such as 24h");
  }
  for (const std::string& window : options.windows) {
    auto length = config::ParseDuration(window);
    if (!length || length->count() == 0) {
      return Refuse(from, "batch.windows", "batch.windows",
                    "has '{}', which is no window: write for example 24h", window);
    }
  }
  return {};
}

// Which of the ways to run a model an option belongs to; the others must not have it.
struct OwnKey {
  std::string_view key;
  Kind kind;
};
constexpr OwnKey kOwnKeys[] = {{"upstream_name", Kind::kRemote},
                               {"api_key", Kind::kRemote},
                               {"context", Kind::kGguf},
                               {"threads", Kind::kGguf},
                               {"cache", Kind::kGguf},
                               {"adapter", Kind::kGguf},
                               {"adapter_scale", Kind::kGguf},
                               {"embed_window", Kind::kGguf},
                               {"embed_tokens", Kind::kGguf},
                               {"pooling", Kind::kGguf},
                               {"normalize", Kind::kGguf},
                               {"ttft", Kind::kFake},
                               {"itl", Kind::kFake},
                               {"fail_rate", Kind::kFake},
                               {"tokens", Kind::kFake}};

std::string_view KindKey(Kind kind) {
  constexpr std::string_view kKeys[] = {"path", "url", "fake"};
  return kKeys[static_cast<size_t>(kind)];
}

Result<Kind> KindOf(const Settings& from) {
  bool given[] = {!from.Get<std::string>("path").empty(), !from.Get<std::string>("url").empty(),
                  from.Get<bool>("fake")};
  if (std::ranges::count(given, true) != 1) {
    return Fail(Code::kInvalidArgument,
                "{}: [[model]] '{}' needs exactly one of path = \"FILE.gguf\", url = \"http://…\" "
                "and fake = true",
                from.place(), from.Get<std::string>("name"));
  }
  return static_cast<Kind>(std::ranges::find(given, true) - given);
}

Result<> CheckOwnKeys(const Settings& from, Kind kind) {
  for (const OwnKey& own : kOwnKeys) {
    if (own.kind != kind && from.given(own.key)) {
      return Refuse(from, own.key, fmt::format("model.{}", own.key),
                    "belongs to models with {}, this one has {}: remove it", KindKey(own.kind),
                    KindKey(kind));
    }
  }
  return {};
}

// One in eight, and at least one where that leaves some for batches.
uint32_t UsualReserve(uint32_t concurrency) {
  return concurrency == 1 ? 0 : std::max(1u, concurrency / 8);
}

uint32_t UsualConcurrency(Kind kind) {
  return kind == Kind::kGguf ? kLocalConcurrency : kOtherConcurrency;
}

Result<> ReadSlots(const Settings& from, ModelOptions& model) {
  model.concurrency = Small(from, "concurrency");
  if (model.concurrency == 0) model.concurrency = UsualConcurrency(model.kind);
  if (model.kind == Kind::kGguf && model.concurrency > kMaxLocalConcurrency) {
    return Refuse(from, "concurrency", "model.concurrency",
                  "is {}; a model that runs here takes at most {} requests at once",
                  model.concurrency, kMaxLocalConcurrency);
  }
  int64_t reserved = from.Get<int64_t>("reserved");
  if (reserved >= model.concurrency) {
    return Refuse(from, "reserved", "model.reserved",
                  "is {}; it must be less than concurrency, which is {}, so that batches go on",
                  reserved, model.concurrency);
  }
  model.reserved = reserved < 0 ? UsualReserve(model.concurrency) : static_cast<uint32_t>(reserved);
  return {};
}

// Each text of `key`, none of which is empty.
Result<std::vector<std::string>> Endings(const Settings& from, std::string_view key) {
  const auto& texts = from.Get<config::Texts>(key);
  const std::string shown = fmt::format("model.{}", key);
  if (texts.size() > kMostEndings) {
    return Refuse(from, key, shown, "has {} texts; at most {} are allowed", texts.size(),
                  kMostEndings);
  }
  for (const std::string& text : texts) {
    if (!text.empty() && text.size() <= kLongestEnding) continue;
    return Refuse(from, key, shown, "has a text of {} bytes; each must have 1 to {}", text.size(),
                  kLongestEnding);
  }
  return texts;
}

Result<engine::AnswerShape> ReadShape(const Settings& from) {
  constexpr std::string_view kSpace = " \t\r\n";
  engine::AnswerShape shape;
  INFERQ_ASSIGN(shape.stop, Endings(from, "stop"));
  INFERQ_ASSIGN(shape.strip_suffix, Endings(from, "strip_suffix"));
  for (const std::string& text : shape.strip_suffix) {
    if (!kSpace.contains(text.front()) && !kSpace.contains(text.back())) continue;
    return Refuse(from, "strip_suffix", "model.strip_suffix",
                  "has '{}', which begins or ends with white space; leave that out: white space "
                  "behind an ending is cut with it",
                  text);
  }
  shape.buffer_stream = from.Get<bool>("buffer_stream");
  return shape;
}

bool IsModelName(std::string_view name) {
  return !name.empty() && name.size() <= kLongestModelName &&
         std::ranges::none_of(name,
                              [](char c) { return (0 <= c && c <= ' ') || c == '"' || c == 0x7F; });
}

Result<ModelOptions> ReadModel(const Settings& from) {
  ModelOptions model;
  model.name = from.Get<std::string>("name");
  if (!IsModelName(model.name)) {
    return Refuse(from, "name", "model.name",
                  "is '{}'; it must have 1 to {} bytes without spaces and quotes", model.name,
                  kLongestModelName);
  }
  INFERQ_ASSIGN(model.kind, KindOf(from));
  INFERQ_TRY(CheckOwnKeys(from, model.kind));
  INFERQ_TRY(ReadSlots(from, model));
  INFERQ_ASSIGN(model.shape, ReadShape(from));
  model.path = from.Get<std::string>("path");
  model.adapter = from.Get<std::string>("adapter");
  model.adapter_scale = from.Get<double>("adapter_scale");
  if (from.given("adapter_scale") && model.adapter.empty()) {
    return Refuse(from, "adapter_scale", "model.adapter_scale", "needs adapter = \"FILE.gguf\"");
  }
  model.url = from.Get<std::string>("url");
  model.upstream_name = from.Get<std::string>("upstream_name");
  model.api_key = from.Get<std::string>("api_key");
  model.context_tokens = Small(from, "context");
  model.threads = Small(from, "threads");
  model.cache = from.Get<std::string>("cache");
  model.embed_window = from.Get<base::Micros>("embed_window");
  model.embed_tokens = Small(from, "embed_tokens");
  model.pooling = from.Get<std::string>("pooling");
  model.normalize = from.Get<bool>("normalize");
  model.ttft = from.Get<base::Micros>("ttft");
  model.itl = from.Get<base::Micros>("itl");
  model.fail_rate = from.Get<double>("fail_rate");
  model.tokens = Small(from, "tokens");
  return model;
}

// Of "glm-00001-of-00003" the "glm"; of other stems the whole; nothing of a split's later files.
std::optional<std::string_view> ModelNameOfStem(std::string_view stem) {
  constexpr std::string_view kForm = "-00001-of-00001";
  if (stem.size() <= kForm.size()) return stem;
  std::string_view tail = stem.substr(stem.size() - kForm.size());
  for (size_t i = 0; i < kForm.size(); ++i) {
    bool digit = '0' <= tail[i] && tail[i] <= '9';
    if (kForm[i] == '0' || kForm[i] == '1' ? !digit : tail[i] != kForm[i]) return stem;
  }
  if (tail.substr(1, 5) != "00001") return std::nullopt;
  return stem.substr(0, stem.size() - kForm.size());
}

// Those of the file, and those of the folder that have another name.
Result<std::vector<ModelOptions>> ReadModels(const config::Config& config,
                                             base::FileSystem& files) {
  std::map<std::string, ModelOptions> models;
  for (const Settings& from : config.tables.at("model")) {
    INFERQ_ASSIGN(ModelOptions model, ReadModel(from));
    if (models.contains(model.name)) {
      return Refuse(from, "name", "model.name", "is '{}', as another model's; give it another",
                    model.name);
    }
    models.emplace(model.name, std::move(model));
  }
  INFERQ_ASSIGN(auto found,
                FindModels(files, config.settings.Get<std::string>("models.directory")));
  std::erase_if(found, [&](const ModelOptions& model) { return models.contains(model.name); });
  for (const ModelOptions& model : found) {
    auto [same, added] = models.emplace(model.name, model);
    if (!added) {
      return Fail(Code::kInvalidArgument,
                  "{} and {} would both be the model '{}': rename one, or give [[model]] the name",
                  same->second.path, model.path, model.name);
    }
  }
  std::vector<ModelOptions> sorted;
  for (auto& [name, model] : models) sorted.push_back(std::move(model));
  return sorted;
}

bool IsTenantName(std::string_view name) {
  return !name.empty() && name.size() <= kLongestTenantName &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

using KeyMap = std::map<std::string, std::string, std::less<>>;

Result<> ReadTenantKeys(const Settings& from, const std::string& tenant, KeyMap& keys) {
  const auto& hashes = from.Get<config::Texts>("keys");
  if (hashes.empty()) {
    return Refuse(from, "keys", "tenant.keys",
                  "is empty: nobody could be tenant '{}'. `inferq key create --tenant {}` makes a "
                  "key",
                  tenant, tenant);
  }
  for (const std::string& hash : hashes) {
    if (!config::IsApiKeyHash(hash)) {
      return Refuse(from, "keys", "tenant.keys",
                    "of '{}' has an item that is no hash of a key (blake2b: and 64 hexadecimal "
                    "digits). `inferq key hash` makes it of a key",
                    tenant);
    }
    auto [same, added] = keys.emplace(hash, tenant);
    if (!added && same->second != tenant) {
      return Refuse(from, "keys", "tenant.keys", "of '{}' has a key of tenant '{}', too: {}",
                    tenant, same->second, hash);
    }
  }
  return {};
}

Result<sched::TenantPolicy> ReadPolicy(const Settings& from) {
  sched::TenantPolicy policy{.weight = from.Get<double>("weight"),
                             .max_running = Small(from, "max_running"),
                             .min_share = from.Get<double>("min_share")};
  policy.tokens_per_minute = Bound(Count(from, "tokens_per_minute"));
  return policy;
}

Result<> ReadTenants(const config::Config& config, ServeOptions& options) {
  KeyMap keys;
  double guaranteed = 0;
  for (const Settings& from : config.tables.at("tenant")) {
    const auto& name = from.Get<std::string>("name");
    if (!IsTenantName(name)) {
      return Refuse(from, "name", "tenant.name", "is '{}'; it must be 1 to 64 of a-z, 0-9, _ and -",
                    name);
    }
    INFERQ_ASSIGN(sched::TenantPolicy policy, ReadPolicy(from));
    guaranteed += policy.min_share;
    if (guaranteed >= 1) {
      return Refuse(from, "min_share", "tenant.min_share",
                    "of '{}' is too much: with the tenants before it {} are promised, and less "
                    "than 1 must be",
                    name, guaranteed);
    }
    if (!options.tenants.emplace(name, policy).second) {
      return Refuse(from, "name", "tenant.name", "is '{}', as another tenant's", name);
    }
    INFERQ_TRY(ReadTenantKeys(from, name, keys));
  }
  options.keys = config::TenantKeys(std::move(keys));
  return {};
}

Result<std::vector<model::BatchStatus>> ReadEvents(const Settings& from) {
  constexpr std::string_view kPrefix = "batch.";
  std::vector<model::BatchStatus> events;
  for (const std::string& name : from.Get<config::Texts>("events")) {
    auto status = name.starts_with(kPrefix)
                      ? model::ParseBatchStatus(std::string_view(name).substr(kPrefix.size()))
                      : std::nullopt;
    if (!status || !IsTerminal(*status)) {
      return Refuse(from, "events", "webhook.events",
                    "has '{}'; there are batch.completed, batch.failed, batch.expired and "
                    "batch.cancelled",
                    name);
    }
    events.push_back(*status);
  }
  return events;
}

Result<service::WebhookEndpoint> ReadWebhook(const Settings& from, const ServeOptions& options) {
  service::WebhookEndpoint endpoint;
  endpoint.url = from.Get<std::string>("url");
  if (auto url = http::ParseUrl(endpoint.url); !url)
    return Refuse(from, "url", "webhook.url", "cannot be used: {}", url.error().message());
  endpoint.secret = from.Get<std::string>("secret");
  if (auto signer = http::WebhookSigner::Make(endpoint.secret); !signer) {
    return Refuse(
        from, "secret", "webhook.secret",
        "(given by secret_file or secret_env) {}; `printf whsec_; head -c 32 /dev/urandom "
        "| base64` makes one",
        signer.error().message());
  }
  endpoint.tenant = from.Get<std::string>("tenant");
  bool known = options.tenants.empty() || options.tenants.contains(endpoint.tenant);
  if (!endpoint.tenant.empty() && !known)
    return Refuse(from, "tenant", "webhook.tenant", "is '{}', but no [[tenant]] is",
                  endpoint.tenant);
  INFERQ_ASSIGN(endpoint.events, ReadEvents(from));
  return endpoint;
}

Result<> ReadWebhooks(const config::Config& config, ServeOptions& options) {
  options.webhooks.retry_for = config.settings.Get<base::Micros>("webhooks.retry_for");
  options.webhooks_allow_private = config.settings.Get<bool>("webhooks.allow_private");
  for (const Settings& from : config.tables.at("webhook")) {
    INFERQ_ASSIGN(auto endpoint, ReadWebhook(from, options));
    options.webhooks.endpoints.push_back(std::move(endpoint));
  }
  return {};
}

Result<> CheckExposure(const Settings& from, const ServeOptions& options) {
  if (!options.keys.empty() || IsLoopback(options.listen.host)) return {};
  return Refuse(from, "server.listen", "server.listen",
                "is {}, which others can reach, and there are no keys: everybody could use the "
                "models. `inferq key create` makes a key and the [[tenant]] to add; or listen on "
                "127.0.0.1",
                from.Get<std::string>("server.listen"));
}

}  // namespace

Result<std::vector<ModelOptions>> FindModels(base::FileSystem& files,
                                             const std::string& directory) {
  constexpr std::string_view kExtension = ".gguf";
  std::vector<ModelOptions> models;
  auto names = files.List(directory);
  if (!names && names.error().code() == Code::kNotFound) return models;
  if (!names) return std::unexpected(std::move(names).error().WithContext("models.directory"));
  for (const std::string& name : *names) {
    if (!name.ends_with(kExtension) || name.size() == kExtension.size()) continue;
    auto model_name =
        ModelNameOfStem(std::string_view(name).substr(0, name.size() - kExtension.size()));
    if (!model_name) continue;
    ModelOptions& model = models.emplace_back();
    model.name = *model_name;
    model.path = directory + "/" + name;
    model.concurrency = kLocalConcurrency;
    model.reserved = UsualReserve(kLocalConcurrency);
  }
  return models;
}

Result<ServeOptions> LoadServeOptions(const config::Sources& sources, base::FileSystem& files) {
  INFERQ_ASSIGN(config::Config config, config::Load(ServeSchema(), sources, files));
  ServeOptions options;
  INFERQ_TRY(ReadServer(config.settings, options));
  INFERQ_TRY(ReadWork(config.settings, options));
  INFERQ_ASSIGN(options.models, ReadModels(config, files));
  INFERQ_TRY(ReadTenants(config, options));
  INFERQ_TRY(ReadWebhooks(config, options));
  INFERQ_TRY(CheckExposure(config.settings, options));
  return options;
}

}  // namespace inferq::app
