#include "app/batch_submit.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "app/batch_input.h"
#include "app/batch_wait.h"
#include "app/client_session.h"
#include "app/input_options.h"
#include "model/task.h"

namespace inferq::app {

using base::Result;
using runtime::Awaitable;

struct BatchSubmit::Options {
  std::string input;
  std::string model;
  std::string window = "24h";
  std::string output;
  std::vector<std::string> metadata;
  std::optional<int> priority;
  bool wait = false;
  InputOptions rows;
  ClientFlags client;
};

namespace {

constexpr const char* kFooter = R"(
Examples:
  inferq batch submit requests.jsonl
  inferq batch submit reviews.csv --model glm-4 --template 'Yes or no: {{text}}' --max-tokens 4
  inferq batch submit requests.jsonl --metadata team=search --wait -o results.jsonl
  zcat prompts.jsonl.gz | inferq batch submit - --model glm-4

Prints the id of the batch (on standard error with -o -). Lines that are no valid requests are
listed, and then nothing is sent.
Exit codes: 0 submitted (with --wait: all lines succeeded); 1 some lines failed; 2 wrong usage or
input; 3 the server is not reached or refuses; 4 the disk; 5 the batch failed, expired or was
cancelled; 130 interrupted.)";

void Complain(const std::string& message) {
  std::fprintf(stderr, "inferq batch submit: %s\n", message.c_str());
}

// "key=value"
Result<std::map<std::string, std::string>> ParseMetadata(const std::vector<std::string>& pairs) {
  std::map<std::string, std::string> metadata;
  for (const std::string& pair : pairs) {
    size_t at = pair.find('=');
    if (at == 0 || at == pair.npos) {
      return base::Fail(base::Code::kInvalidArgument,
                        "--metadata '{}' is no pair: write for example --metadata team=search",
                        pair);
    }
    metadata[pair.substr(0, at)] = pair.substr(at + 1);
  }
  return metadata;
}

std::string SpoolDirectory() {
  const char* named = std::getenv("TMPDIR");
  return named && *named ? named : "/tmp";
}

std::expected<BatchInput, BatchInputFailure> ReadInput(const auto& o, wire::Endpoint endpoint) {
  ingest::SourceOptions source = MakeSourceOptions(o.rows, o.input, o.model);
  source.batch_endpoint = endpoint;
  auto report = [](const ingest::BadLine& bad) {
    Complain(fmt::format("line {}: {}", bad.number, bad.message));
  };
  std::unique_ptr<base::File> file;
  if (o.input != "-") {
    auto opened = base::PosixFileSystem().Open(o.input, base::OpenMode::kRead);
    if (!opened) return std::unexpected(BatchInputFailure{.error = std::move(opened).error()});
    file = *std::move(opened);
  }
  ingest::ReadBytes read = file ? ingest::ReadFrom(*file) : ReadStandardInput();
  return MakeBatchInput(std::move(read), std::move(source), SpoolDirectory(), report);
}

constexpr base::Micros kLongestPoll{5'000'000};

/// What is sent, once the input was found good.
struct Submission {
  client::NewUpload upload;
  client::NewBatch batch;
  bool wait = false;
  std::string output;
};

// On standard output, unless that is where the results go.
int PrintBatch(ClientSession& session, const client::Batch& batch, bool results_follow) {
  const std::string& text = session.flags().json ? batch.json : batch.id;
  if (results_follow) return session.display().Say(text), kOk;
  auto printed = Print(text + "\n");
  return printed ? kOk : session.StorageFailed(printed.error());
}

Awaitable<int> Submit(ClientSession& session, Submission submission) {
  submission.upload.on_bytes = session.ShowBytes("uploading");
  auto file = co_await session.client().Upload(std::move(submission.upload));
  if (!file) co_return session.Refused(file.error());
  submission.batch.input_file_id = file->id;
  auto batch = co_await session.client().CreateBatch(std::move(submission.batch));
  if (!batch) {
    session.display().Say(
        fmt::format("the input was uploaded as {0}; inferq file delete {0} removes it", file->id));
    co_return session.Refused(batch.error());
  }
  int printed = PrintBatch(session, *batch, submission.output == "-");
  if (printed != kOk || !submission.wait) co_return printed;
  WaitedBatch waited = co_await WaitForBatch(session, batch->id, base::Micros(0), kLongestPoll);
  if (!waited.batch || submission.output.empty()) co_return waited.code;
  co_return co_await FetchResults(session, *std::move(waited.batch), submission.output, "");
}

}  // namespace

BatchSubmit::BatchSubmit(CLI::App& batch) : options_(std::make_unique<Options>()) {
  Options& o = *options_;
  command_ = batch.add_subcommand("submit", "Send a file of prompts as a batch");
  command_->footer(kFooter);
  command_
      ->add_option("INPUT", o.input,
                   "File of prompts: OpenAI batch lines, CSV with a header, a JSON array, JSONL of "
                   "objects or strings; '-' reads standard input")
      ->required();
  command_->add_option("--model", o.model, "Model of rows, and of batch lines that name none");
  command_->add_option("--window", o.window, "How long the batch may take")->capture_default_str();
  command_
      ->add_option("--priority", o.priority,
                   "Higher goes first, 0 is usual; only for inferq's own server")
      ->check(CLI::Range(model::kMinPriority, model::kMaxPriority));
  command_->add_option("--metadata", o.metadata, "key=value to find the batch by; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  auto* wait = command_->add_flag("--wait", o.wait, "Wait until the batch has ended");
  command_
      ->add_option(
          "-o,--output", o.output,
          "With --wait: where the results go; failed lines go beside it, to *.errors.jsonl")
      ->needs(wait);
  AddFormatOptions(*command_, o.rows);
  AddRequestOptions(*command_, o.rows);
  AddClientOptions(*command_, o.client);
  AddCreationOptions(*command_, o.client);
  AddProgressOptions(*command_, o.client);
}

BatchSubmit::~BatchSubmit() = default;

bool BatchSubmit::chosen() const { return command_->parsed(); }

int BatchSubmit::Execute() {
  Options& o = *options_;
  auto metadata = ParseMetadata(o.metadata);
  if (!metadata) return Complain(metadata.error().message()), kUsage;
  wire::Endpoint endpoint = MakeSourceOptions(o.rows, o.input, o.model).row.endpoint;
  auto input = ReadInput(o, endpoint);
  if (!input) {
    return Complain(input.error().error.message()), input.error().storage ? kStorageFailed : kUsage;
  }
  if (input->bad_lines > 0) {
    return Complain(fmt::format("{} of {} lines are no valid requests; nothing was sent",
                                input->bad_lines, input->bad_lines + input->lines)),
           kUsage;
  }
  std::string name = o.input == "-" ? "stdin" : std::filesystem::path(o.input).stem().string();
  Submission submission{.upload = {.file = input->file, .filename = name + ".jsonl"},
                        .batch = {.input_file_id = {},
                                  .endpoint = std::string(wire::EndpointPath(endpoint)),
                                  .completion_window = o.window,
                                  .metadata = *std::move(metadata),
                                  .priority = o.priority},
                        .wait = o.wait,
                        .output = o.output};
  auto body = [&submission](ClientSession& session) { return Submit(session, submission); };
  return ClientSession::Run("batch submit", o.client, body);
}

}  // namespace inferq::app
