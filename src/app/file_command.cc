#include "app/file_command.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "app/batch_view.h"
#include "app/client_session.h"
#include "app/download.h"

namespace inferq::app {

using runtime::Awaitable;

struct FileCommand::Options {
  ClientFlags client;
  std::string path;
  std::string id;
  std::string purpose = "batch";
  std::string only_purpose;
  std::string output = "-";
  bool info = false;
  CLI::App* upload = nullptr;
  CLI::App* list = nullptr;
  CLI::App* get = nullptr;
  CLI::App* remove = nullptr;
};

namespace {

constexpr const char* kFooter = R"(
Examples:
  inferq file upload requests.jsonl
  inferq file list --purpose batch_output
  inferq file get file-abc -o results.jsonl
  inferq file delete file-abc

Exit codes: 0 done; 2 wrong usage; 3 the server is not reached or refuses; 4 the disk; 130 interrupted.)";

int PrintText(ClientSession& session, const std::string& text) {
  auto printed = Print(text);
  return printed ? kOk : session.StorageFailed(printed.error());
}

Awaitable<int> Upload(ClientSession& session, std::string path, std::string purpose) {
  auto file = base::PosixFileSystem().Open(path, base::OpenMode::kRead);
  if (!file) {
    session.StorageFailed(file.error());
    co_return kUsage;
  }
  client::NewUpload upload{.file = *std::move(file),
                           .filename = std::filesystem::path(path).filename().string(),
                           .purpose = std::move(purpose),
                           .on_bytes = session.ShowBytes("uploading")};
  auto uploaded = co_await session.client().Upload(std::move(upload));
  if (!uploaded) co_return session.Refused(uploaded.error());
  co_return PrintText(session, (session.flags().json ? uploaded->json : uploaded->id) + "\n");
}

Awaitable<int> List(ClientSession& session, std::string purpose) {
  auto files = co_await session.client().ListFiles(std::move(purpose), 0);
  if (!files) co_return session.Refused(files.error());
  if (!session.flags().json) co_return PrintText(session, FileTable(*files));
  std::string lines;
  for (const client::File& file : *files) lines += file.json + "\n";
  co_return PrintText(session, lines);
}

Awaitable<int> Info(ClientSession& session, std::string id) {
  auto file = co_await session.client().GetFile(std::move(id));
  if (!file) co_return session.Refused(file.error());
  co_return PrintText(session, session.flags().json ? file->json + "\n" : FileDetails(*file));
}

Awaitable<int> Remove(ClientSession& session, std::string id) {
  auto answer = co_await session.client().DeleteFile(id);
  if (!answer) co_return session.Refused(answer.error());
  co_return PrintText(session, (session.flags().json ? *answer : id + " is deleted") + "\n");
}

}  // namespace

FileCommand::FileCommand(CLI::App& root) : options_(std::make_unique<Options>()) {
  Options& o = *options_;
  command_ = root.add_subcommand("file", "Files of a server: inputs and results of batches");
  command_->require_subcommand(1);
  command_->footer(kFooter);
  o.upload = command_->add_subcommand("upload", "Send a file, as it is; prints its id");
  o.upload->add_option("PATH", o.path, "The file")->required();
  o.upload->add_option("--purpose", o.purpose, "What it is for")->capture_default_str();
  AddCreationOptions(*o.upload, o.client);
  AddProgressOptions(*o.upload, o.client);
  o.list = command_->add_subcommand("list", "List the files, newest first");
  o.list->add_option("--purpose", o.only_purpose, "Only those, for example batch_output");
  o.get = command_->add_subcommand("get", "Download a file");
  o.get->add_option("ID", o.id, "The file")->required();
  o.get->add_option("-o,--output", o.output, "Where it goes; '-': standard output")
      ->capture_default_str();
  o.get->add_flag("--info", o.info, "Show what the server knows of it instead");
  AddProgressOptions(*o.get, o.client);
  o.remove = command_->add_subcommand("delete", "Delete a file");
  o.remove->add_option("ID", o.id, "The file")->required();
  for (CLI::App* command : {o.upload, o.list, o.get, o.remove}) {
    AddClientOptions(*command, o.client);
  }
}

FileCommand::~FileCommand() = default;

bool FileCommand::chosen() const { return command_->parsed(); }

int FileCommand::Execute() {
  const Options& o = *options_;
  using Session = ClientSession;
  if (o.upload->parsed()) {
    auto upload = [&o](Session& session) { return Upload(session, o.path, o.purpose); };
    return Session::Run("file upload", o.client, upload);
  }
  if (o.list->parsed()) {
    auto list = [&o](Session& session) { return List(session, o.only_purpose); };
    return Session::Run("file list", o.client, list);
  }
  if (o.remove->parsed()) {
    auto remove = [&o](Session& session) { return Remove(session, o.id); };
    return Session::Run("file delete", o.client, remove);
  }
  auto get = [&o](Session& session) {
    return o.info ? Info(session, o.id) : DownloadTo(session, o.id, o.output);
  };
  return Session::Run("file get", o.client, get);
}

}  // namespace inferq::app
