#include "app/serve_options.h"

namespace inferq::app {

using namespace std::chrono_literals;
using base::Micros;
using config::Bytes;
using config::Option;

namespace {

constexpr uint64_t kMiB = 1u << 20;
constexpr uint64_t kGiB = 1u << 30;

std::vector<Option> ServerOptions() {
  return {
      {.key = "server.listen",
       .sentence = "Address and port of the API. Beyond this machine only with keys.",
       .standard = "127.0.0.1:8080",
       .alias = "--listen"},
      {.key = "server.admin_listen",
       .sentence = "Address and port of health and metrics, which ask for no key; empty for none.",
       .standard = "127.0.0.1:8081",
       .alias = "--admin-listen"},
      {.key = "server.io_threads",
       .sentence = "Threads that serve connections; 0 chooses by machine.",
       .standard = 0,
       .min = 0,
       .max = 256},
      {.key = "server.max_connections",
       .sentence = "Connections at once. One more is told 503 and closed.",
       .standard = 10'000,
       .min = 1,
       .max = 1'000'000},
      {.key = "server.body_limit",
       .sentence = "Longest body of a request that is no upload; longer ones get 413.",
       .standard = Bytes{32 * kMiB},
       .min = Bytes{1024},
       .max = Bytes{kGiB}},
      {.key = "server.upload_limit",
       .sentence = "Largest file that is taken; larger ones get 413.",
       .standard = Bytes{8 * kGiB},
       .min = Bytes{1024}},
      {.key = "server.body_memory",
       .sentence = "Memory for the bodies of all requests at once; beyond it they get 503.",
       .standard = Bytes{kGiB},
       .min = Bytes{kMiB}},
      {.key = "server.body_ratio",
       .sentence = "How many times its size a compressed body (gzip, zstd) may become; what grows "
                   "more gets 413. Limits of bodies count decompressed bytes.",
       .standard = 1000,
       .min = 1,
       .max = 1'000'000},
      {.key = "server.head_timeout",
       .sentence = "How long a client may take to send the head of a request. Longer tolerates bad "
                   "networks, shorter frees connections sooner.",
       .standard = Micros(10s),
       .min = Micros(100ms),
       .max = Micros(1h)},
      {.key = "server.idle_timeout",
       .sentence = "How long a connection without requests stays open. Longer than that of a proxy "
                   "in front.",
       .standard = Micros(75s),
       .min = Micros(1s),
       .max = Micros(24h)},
      {.key = "server.write_stall",
       .sentence = "How long a client may take nothing of its answer before it is cut off.",
       .standard = Micros(30s),
       .min = Micros(1s),
       .max = Micros(1h)},
  };
}

std::vector<Option> WorkOptions() {
  return {
      {.key = "store.directory",
       .sentence = "Where tasks, files and results are kept; made with mode 0700.",
       .standard = "inferq-data",
       .alias = "--data"},
      {.key = "store.min_free",
       .sentence = "With less room on the disk nothing new is taken.",
       .standard = Bytes{64 * kMiB},
       .min = Bytes{kMiB}},
      {.key = "models.directory",
       .sentence = "Its GGUF files are served under their names without .gguf.",
       .standard = "models"},
      {.key = "models.idle_unload",
       .sentence = "A local model without work leaves the memory after this. Longer answers the "
                   "next request sooner.",
       .standard = Micros(10min),
       .min = Micros(1s)},
      {.key = "online.hold",
       .sentence =
           "How long the status of a streamed answer is held back for its first text. Until "
           "then a failure is a plain error that clients repeat by themselves; after it, "
           "status and comments go out, so that proxies keep the connection.",
       .standard = Micros(50s),
       .min = Micros(0s),
       .max = Micros(24h)},
      {.key = "online.keep_alive",
       .sentence = "Silence in a stream after which a comment is sent.",
       .standard = Micros(15s),
       .min = Micros(100ms),
       .max = Micros(1h)},
      {.key = "batch.windows",
       .sentence = "Completion windows that clients may ask for.",
       .standard = config::Texts{"24h"}},
      {.key = "batch.max_lines",
       .sentence = "Lines of one batch.",
       .standard = 10'000'000,
       .min = 1,
       .max = 1'000'000'000},
      {.key = "batch.enqueued_tokens",
       .sentence =
           "Prompt tokens that the live batches of a tenant may have on one model, about; a "
           "batch beyond it fails with token_limit_exceeded. 0 for no bound.",
       .standard = 0,
       .min = 0,
       .max = 1'000'000'000'000},
      {.key = "batch.file_lifetime",
       .sentence = "When files for batches and their output are deleted, where expires_after and "
                   "output_expires_after say nothing; 0s for never.",
       .standard = Micros(30 * 24h),
       .min = Micros(0s)},
      {.key = "batch.max_attempts",
       .sentence = "Tries of a line whose failure may pass.",
       .standard = 3,
       .min = 1,
       .max = 100},
      {.key = "order.aging_per_second",
       .sentence = "Priority points that a task gains for each second it waits. More lets old work "
                   "overtake urgent work sooner; a wait is bounded by the range of priorities over "
                   "it.",
       .standard = 1.0,
       .min = 1e-6,
       .max = 1e6},
      {.key = "order.prefix_window",
       .sentence = "How far behind the first in order a task may be to be taken earlier because it "
                   "shares its prompt's beginning with the one before. More saves prefill, less "
                   "keeps the order.",
       .standard = Micros(10s),
       .min = Micros(0s),
       .max = Micros(24h)},
      {.key = "queue.max_tasks",
       .sentence = "Tasks that may wait or run at once, lines of batches aside; more get 429.",
       .standard = 10'000'000,
       .min = 100'000,
       .max = 1'000'000'000},
      {.key = "queue.max_tasks_per_tenant",
       .sentence = "The same for one tenant; 0 for no bound of its own.",
       .standard = 0,
       .min = 0,
       .max = 1'000'000'000},
      {.key = "queue.max_bytes",
       .sentence = "Bytes of the requests of such tasks; more get 429.",
       .standard = Bytes{64 * kGiB},
       .min = Bytes{kMiB}},
      {.key = "queue.max_bytes_per_tenant",
       .sentence = "The same for one tenant; 0 for no bound of its own.",
       .standard = Bytes{0}},
      {.key = "retention.age",
       .sentence = "How long an ended task can be asked for. What is live is never dropped; lines "
                   "of batches stay until the batch's files are written.",
       .standard = Micros(7 * 24h),
       .min = Micros(1s),
       .max = Micros(10 * 365 * 24h)},
      {.key = "retention.count",
       .sentence = "Ended tasks that can be asked for; the oldest are dropped. Each takes some 400 "
                   "bytes of memory.",
       .standard = 1'000'000,
       .min = 0,
       .max = 100'000'000},
      {.key = "retention.bytes",
       .sentence = "Bytes of their requests and results; the oldest are dropped.",
       .standard = Bytes{4 * kGiB},
       .min = Bytes{0}},
      {.key = "blobs.max_count",
       .sentence = "Images (/v1/blobs) that each tenant may keep; more get 429.",
       .standard = 10'000,
       .min = 0,
       .max = 10'000'000},
      {.key = "blobs.max_bytes",
       .sentence = "Their bytes, for each tenant; more get 429.",
       .standard = Bytes{8 * kGiB}},
      {.key = "webhooks.retry_for",
       .sentence =
           "How long after a batch's end a [[webhook]] that cannot be reached is tried, with "
           "pauses that grow to an hour. Then the delivery has failed.",
       .standard = Micros(72h),
       .min = Micros(0s),
       .max = Micros(30 * 24h)},
      {.key = "webhooks.allow_private",
       .sentence =
           "Whether webhooks may go to this machine and to private, link-local and reserved "
           "addresses. Without it, what a URL's name means today cannot reach inside.",
       .standard = false},
      {.key = "drain.grace",
       .sentence = "How long running work may take to finish when the server is stopped; the rest "
                   "is done after the next start.",
       .standard = Micros(30s),
       .min = Micros(0s),
       .max = Micros(1h),
       .alias = "--grace"},
      {.key = "log.level",
       .sentence = "The least that is logged.",
       .standard = "info",
       .choices = {"debug", "info", "warning", "error"}},
      {.key = "log.format",
       .sentence = "JSON lines or text for people; auto is text on a terminal.",
       .standard = "auto",
       .choices = {"auto", "json", "text"}},
  };
}

std::vector<Option> ModelTable() {
  return {
      {.key = "name", .sentence = "As clients name it.", .standard = "", .required = true},
      {.key = "path", .sentence = "GGUF file to run here.", .standard = ""},
      {.key = "url",
       .sentence = "Base URL of an OpenAI-compatible server, such as http://gpu-1:8000/v1.",
       .standard = ""},
      {.key = "fake", .sentence = "Made-up answers with realistic timing.", .standard = false},
      {.key = "upstream_name",
       .sentence = "With url: the model's name there, if it is another.",
       .standard = ""},
      {.key = "api_key", .sentence = "With url: the key for it.", .standard = "", .secret = true},
      {.key = "stop",
       .sentence = "Texts that end every answer, beside those that a request names in `stop`.",
       .standard = config::Texts{}},
      {.key = "strip_suffix",
       .sentence =
           "Texts that are cut off the end of every answer, such as \"</answer>\", as often "
           "as they stand there, with white space behind them.",
       .standard = config::Texts{}},
      {.key = "buffer_stream",
       .sentence = "A streamed answer is made whole first and then sent at once: an attempt may "
                   "fail up to its end unseen, but the first text comes with the last.",
       .standard = false},
      {.key = "concurrency",
       .sentence = "Requests under way at once; 0 is 16 with path, else 32. More gives more "
                   "throughput and needs more memory.",
       .standard = 0,
       .min = 0,
       .max = 4096},
      {.key = "reserved",
       .sentence = "Of these, kept for clients that wait; -1 is one in eight, at least one. Less "
                   "than concurrency.",
       .standard = -1,
       .min = -1,
       .max = 4095},
      {.key = "context",
       .sentence = "With path: longest prompt plus answer, in tokens; 0 is the model's, at most "
                   "8192.",
       .standard = 0,
       .min = 0,
       .max = 10'000'000},
      {.key = "threads",
       .sentence = "With path: threads; 0 chooses by machine.",
       .standard = 0,
       .min = 0,
       .max = 1024},
      {.key = "cache",
       .sentence = "With path: shared lets requests that begin alike compute that once, separate "
                   "spares the others the look at each other's tokens; auto measures which is "
                   "faster, and changes with the work.",
       .standard = "auto",
       .choices = {"auto", "shared", "separate"}},
      {.key = "adapter",
       .sentence = "With path: LoRA adapter (GGUF) that the model runs with. Models with the same "
                   "path and different adapters share the mapped weights.",
       .standard = ""},
      {.key = "adapter_scale",
       .sentence = "With adapter: how much of it; 0 is the model without it.",
       .standard = 1.0,
       .min = -100.0,
       .max = 100.0},
      {.key = "embed_window",
       .sentence = "With path: how long an input of /v1/embeddings waits for others to be run with "
                   "it. Longer runs more together, shorter answers a lone one sooner; 0 runs each "
                   "request alone.",
       .standard = Micros(10ms),
       .max = Micros(10s)},
      {.key = "embed_tokens",
       .sentence = "With path: longest input of /v1/embeddings, in tokens; 0 is the context, at "
                   "most 2048. More needs memory, once embeddings are asked for.",
       .standard = 0,
       .min = 0,
       .max = 1'000'000},
      {.key = "pooling",
       .sentence = "With path: how the vectors of an input's tokens become one: mean, cls (the "
                   "first), last; model is what the file says, else mean.",
       .standard = "model",
       .choices = {"model", "mean", "cls", "last"}},
      {.key = "normalize", .sentence = "With path: embeddings have length 1.", .standard = true},
      {.key = "ttft",
       .sentence = "With fake: time to first token.",
       .standard = Micros(20ms),
       .max = Micros(24h)},
      {.key = "itl",
       .sentence = "With fake: time between two tokens.",
       .standard = Micros(2ms),
       .max = Micros(24h)},
      {.key = "fail_rate",
       .sentence = "With fake: share of attempts that fail and are tried again.",
       .standard = 0.0,
       .min = 0.0,
       .max = 1.0},
      {.key = "tokens",
       .sentence = "With fake: tokens of each answer; 0 draws 8 to 64.",
       .standard = 0,
       .min = 0,
       .max = 1'000'000},
  };
}

std::vector<Option> TenantTable() {
  return {
      {.key = "name",
       .sentence = "1 to 64 of a-z, 0-9, _ and -.",
       .standard = "",
       .required = true},
      {.key = "keys",
       .sentence = "Hashes of its API keys; `inferq key create` makes both.",
       .standard = config::Texts{},
       .required = true},
      {.key = "weight",
       .sentence = "Its share of busy models, compared with other tenants'.",
       .standard = 1.0,
       .min = 0.001,
       .max = 1e6},
      {.key = "max_running",
       .sentence = "Tasks under way at once; 0 pauses it.",
       .standard = int64_t{UINT32_MAX},
       .min = 0,
       .max = int64_t{UINT32_MAX}},
      {.key = "min_share",
       .sentence = "The part of a busy model that it gets whatever the weights say, while it has "
                   "work. Those of all tenants together less than 1.",
       .standard = 0.0,
       .min = 0.0,
       .max = 0.99},
      {.key = "tokens_per_minute",
       .sentence = "Most tokens that its tasks may take in a minute; 0 for no bound.",
       .standard = 0,
       .min = 0,
       .max = 1'000'000'000'000},
  };
}

std::vector<Option> WebhookTable() {
  return {
      {.key = "url", .sentence = "Where to post, http or https.", .standard = "", .required = true},
      {.key = "secret",
       .sentence = "What the posts are signed with: whsec_ and base64 of 16 to 128 bytes.",
       .standard = "",
       .secret = true},
      {.key = "tenant", .sentence = "Whose batches; empty for everybody's.", .standard = ""},
      {.key = "events",
       .sentence = "Which ends: batch.completed, batch.failed, batch.expired, batch.cancelled.",
       .standard =
           config::Texts{"batch.completed", "batch.failed", "batch.expired", "batch.cancelled"}},
  };
}

config::Schema MakeSchema() {
  config::Schema schema;
  schema.options = {
      {.key = "openai_limits",
       .sentence =
           "Bounds as OpenAI has them, where ours are wider: 50,000 lines and 200 MiB for a "
           "batch, 512 MiB for other files, 8 GiB for an upload in parts, 50,000 embedding "
           "inputs for a batch, 2,000 batches an hour and tenant. In the file it stands "
           "above the first [section].",
       .standard = false}};
  for (Option& option : ServerOptions()) schema.options.push_back(std::move(option));
  for (Option& option : WorkOptions()) schema.options.push_back(std::move(option));
  schema.tables = {
      {.name = "model",
       .sentence =
           "A model that is offered beside the files of models.directory. With one of path, "
           "url and fake.",
       .options = ModelTable()},
      {.name = "tenant",
       .sentence = "Who may use the server. Without any, everybody on this machine may, as tenant "
                   "default.",
       .options = TenantTable()},
      {.name = "webhook",
       .sentence = "An address that is told when a batch has ended (docs/webhooks.md).",
       .options = WebhookTable()}};
  return schema;
}

}  // namespace

const config::Schema& ServeSchema() {
  static const config::Schema schema = MakeSchema();
  return schema;
}

}  // namespace inferq::app
