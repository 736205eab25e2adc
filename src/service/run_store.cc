#include "service/run_store.h"

#include "blob/dir_blob_store.h"
#include "wire/json.h"

namespace inferq::service {
namespace {

constexpr int64_t kManifestVersion = 2;  // 2: an index of the lines
constexpr std::string_view kManifestName = "/run.json";

std::optional<uint64_t> NumberAt(wire::JsonValue object, std::string_view key) {
  auto member = object.Find(key);
  if (!member) return std::nullopt;
  return member->AsInteger().transform([](int64_t n) { return static_cast<uint64_t>(n); });
}

}  // namespace

std::string StorePathOf(const std::string& output) { return output + ".inferq"; }

std::string EncodeManifest(const RunManifest& manifest) {
  std::string out = fmt::format("{{\"version\":{},\n\"identity\":{{", kManifestVersion);
  const char* separator = "";
  for (const auto& [name, value] : manifest.identity) {
    out += separator + wire::JsonString(name) + ":" + wire::JsonString(value);
    separator = ",";
  }
  out += fmt::format(
      "}},\n\"lines_blob\":{},\"index_blob\":{},\"lines\":{},\"bad_lines\":{},\"cost\":{},"
      "\"batch\":\"{}\",\n\"columns\":[",
      manifest.lines_blob, manifest.index_blob, manifest.lines, manifest.bad_lines, manifest.cost,
      model::ToString(manifest.batch));
  separator = "";
  for (const std::string& column : manifest.columns) {
    out += separator + wire::JsonString(column);
    separator = ",";
  }
  return out += "]}\n";
}

base::Result<RunManifest> DecodeManifest(std::string_view text) {
  auto damaged = [] {
    return base::Fail(base::Code::kDataLoss, "run.json is damaged; --restart begins anew");
  };
  auto parsed = wire::ParseJson(text);
  if (!parsed) return damaged();
  auto version = NumberAt(*parsed, "version");
  if (version && *version > kManifestVersion) {
    return base::Fail(base::Code::kFailedPrecondition,
                      "the run was begun by a newer inferq (format {}, known is {})", *version,
                      kManifestVersion);
  }
  auto identity = parsed->Find("identity");
  auto blob = NumberAt(*parsed, "lines_blob"), lines = NumberAt(*parsed, "lines");
  auto bad_lines = NumberAt(*parsed, "bad_lines");
  auto batch = parsed->Find("batch");
  auto batch_id = model::ParseBatchId(batch ? batch->AsString().value_or("") : "");
  if (!identity || !blob || !lines || !bad_lines || !batch_id) return damaged();
  RunManifest manifest{.identity = {},
                       .lines_blob = *blob,
                       .index_blob = NumberAt(*parsed, "index_blob").value_or(0),
                       .lines = *lines,
                       .bad_lines = *bad_lines,
                       .cost = NumberAt(*parsed, "cost").value_or(0),
                       .batch = *batch_id,
                       .columns = {}};
  for (wire::JsonMembers member(*identity); member.Next();) {
    manifest.identity.emplace_back(member.key(), member.value().AsString().value_or(""));
  }
  if (auto columns = parsed->Find("columns")) {
    for (wire::JsonValue column : columns->Elements()) {
      manifest.columns.push_back(column.AsString().value_or(""));
    }
  }
  return manifest;
}

std::string DescribeDifference(const RunManifest& stored,
                               const std::vector<std::pair<std::string, std::string>>& now) {
  std::map<std::string, std::string> before(stored.identity.begin(), stored.identity.end());
  std::map<std::string, std::string> after(now.begin(), now.end());
  for (const auto& [name, value] : before) after.try_emplace(name, "");
  for (const auto& [name, value] : after) {
    std::string was = before.contains(name) ? before.at(name) : "";
    if (was == value) continue;
    if (name == "input") return "the input is another one than when the run began";
    return fmt::format("{} was {}, now it is {}", name,
                       was.empty() ? "not set" : wire::JsonString(was),
                       value.empty() ? "not set" : wire::JsonString(value));
  }
  return "";
}

base::Result<std::unique_ptr<RunStore>> RunStore::Open(base::FileSystem& fs, std::string directory,
                                                       bool forget) {
  std::unique_ptr<RunStore> store(new RunStore(fs, std::move(directory)));
  INFERQ_TRY(fs.CreateDirectory(store->directory_));
  INFERQ_TRY(fs.SyncDirectory(base::DirectoryOf(store->directory_)));
  std::string manifest = store->directory_ + std::string(kManifestName);
  INFERQ_ASSIGN(bool exists, fs.Exists(manifest));
  if (forget && exists) {
    INFERQ_TRY(fs.Remove(manifest));
    INFERQ_TRY(fs.SyncDirectory(store->directory_));
    exists = false;
  }
  INFERQ_TRY(exists ? store->LoadManifest() : store->Empty());
  INFERQ_ASSIGN(store->blobs_, blob::DirBlobStore::Open(fs, store->directory_ + "/blobs"));
  return store;
}

base::Result<> RunStore::LoadManifest() {
  INFERQ_ASSIGN(std::string text, base::ReadFile(fs_, directory_ + std::string(kManifestName)));
  INFERQ_ASSIGN(manifest_, DecodeManifest(text));
  return {};
}

// Whatever a run without a manifest left behind; nobody was told that it is there.
base::Result<> RunStore::Empty() {
  INFERQ_ASSIGN(auto names, fs_.List(directory_));
  for (const std::string& name : names) {
    std::string path = directory_ + "/" + name;
    if (name == "blobs") INFERQ_TRY(base::RemoveTree(fs_, path));
    if (name.starts_with("journal.db")) INFERQ_TRY(fs_.Remove(path));
  }
  return fs_.SyncDirectory(directory_);
}

base::Result<> RunStore::SaveManifest(RunManifest manifest) {
  INFERQ_TRY(base::WriteFileAtomically(fs_, directory_ + std::string(kManifestName),
                                       EncodeManifest(manifest)));
  manifest_ = std::move(manifest);
  return {};
}

}  // namespace inferq::service
