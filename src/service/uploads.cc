#include "service/uploads.h"

#include <algorithm>
#include <set>

#include "service/file_bytes.h"
#include "wire/locality.h"

namespace inferq::service {

using base::Code;
using base::Result;
using model::UploadPart;
using model::UploadRecord;
using model::UploadStatus;

namespace {

constexpr base::Micros kRemembered = std::chrono::hours(24);  // after its end
constexpr int kStepsAtOnce = 16;  // of a joiner, between two looks at whether it is to go on

base::Error Refuse(std::string param, std::string message) {
  return base::Error(Code::kInvalidArgument, std::move(message)).WithParam(std::move(param));
}

std::unexpected<base::Error> NoSuchUpload(const std::string& id) {
  return std::unexpected(
      base::Error(Code::kNotFound, fmt::format("No such Upload object: {}", id)).WithParam("id"));
}

uint64_t BytesOf(const std::vector<UploadPart>& parts) {
  uint64_t bytes = 0;
  for (const UploadPart& part : parts) bytes += part.bytes;
  return bytes;
}

// To know a call again.
uint64_t HashOf(const UploadCompletion& call) {
  return wire::HashBytes(fmt::format("{}|{}", fmt::join(call.part_ids, ","), call.md5)).low;
}

// The parts that the call names, in its order.
Result<std::vector<UploadPart>> Choose(const UploadRecord& upload, const UploadCompletion& call) {
  std::map<std::string_view, const UploadPart*> known;
  for (const UploadPart& part : upload.parts) known[part.id] = &part;
  std::vector<UploadPart> chosen;
  for (const std::string& id : call.part_ids) {
    std::string param = fmt::format("part_ids[{}]", chosen.size());
    auto found = known.find(id);
    if (found == known.end()) {
      return std::unexpected(
          Refuse(std::move(param), fmt::format("{} has no part {}.", upload.id, id)));
    }
    if (found->second == nullptr) {
      return std::unexpected(Refuse(std::move(param), fmt::format("The part {} comes twice.", id)));
    }
    chosen.push_back(*std::exchange(found->second, nullptr));
  }
  if (BytesOf(chosen) == upload.bytes) return chosen;
  return std::unexpected(
      Refuse("part_ids", fmt::format("The parts have {} bytes together, but {} was created for {}.",
                                     BytesOf(chosen), upload.id, upload.bytes)));
}

NewFile FileOf(const UploadRecord& upload) {
  return {.filename = upload.filename,
          .purpose = upload.purpose,
          .expires_after = upload.expires_after};
}

Result<> CheckSum(const UploadCompletion& call, const std::string& md5) {
  if (call.md5.empty() || call.md5 == md5) return {};
  return std::unexpected(Refuse(
      "md5",
      fmt::format("The md5 of the bytes is {}, not {}: upload the parts again.", md5, call.md5)));
}

Result<bool> StepOn(PartJoiner& joiner) {
  Result<bool> more = true;
  for (int i = 0; i < kStepsAtOnce && more && *more; ++i) more = joiner.Step();
  return more;
}

}  // namespace

void Uploads::Adopt() {
  env_.catalog.ForEachUpload([this](const UploadRecord& upload) {
    for (const UploadPart& part : upload.parts) env_.refs.Hold(part.blob);
  });
}

void Uploads::Drop(const std::vector<UploadPart>& parts) {
  for (const UploadPart& part : parts) env_.refs.Drop(part.blob);
}

Result<UploadRecord> Uploads::Find(const Caller& caller, const std::string& id) const {
  const UploadRecord* upload = env_.catalog.FindUpload(id);
  if (upload == nullptr || upload->tenant != caller.tenant) return NoSuchUpload(id);
  return *upload;
}

Result<UploadRecord> Uploads::FindPending(const Caller& caller, const std::string& id) const {
  INFERQ_ASSIGN(UploadRecord upload, Find(caller, id));
  INFERQ_TRY(CheckPending(&upload));
  return upload;
}

// One whose time is over has ended, also before the sweep says so.
Result<> Uploads::CheckPending(const UploadRecord* upload) const {
  if (upload == nullptr) return base::Fail(Code::kNotFound, "the upload is gone");
  bool over = env_.runtime.clock().Wall() >= upload->expires && !joining_.contains(upload->id);
  if (upload->status == UploadStatus::kPending && !over) return {};
  UploadStatus status =
      upload->status == UploadStatus::kPending ? UploadStatus::kExpired : upload->status;
  return base::Fail(Code::kFailedPrecondition,
                    "{} has status '{}'; only a pending upload takes parts, is completed or is "
                    "cancelled.",
                    upload->id, UploadStatusName(status));
}

UploadView Uploads::ViewOf(const UploadRecord& upload) const {
  UploadView view{.record = upload, .file = {}};
  const model::FileRecord* file = env_.catalog.FindFile(upload.file_id);
  if (file != nullptr && file->IsThere(env_.runtime.clock().Wall())) view.file = *file;
  return view;
}

Awaitable<Result<UploadView>> Uploads::Create(Caller caller, NewUpload upload) {
  uint32_t pending = 0;
  env_.catalog.ForEachUpload([&](const UploadRecord& other) {
    if (other.tenant == caller.tenant && other.status == UploadStatus::kPending) ++pending;
  });
  if (pending >= env_.limits.pending) {
    co_return std::unexpected(
        base::Error(
            Code::kResourceExhausted,
            fmt::format("There are {} pending uploads, at most {}; complete or cancel some.",
                        pending, env_.limits.pending))
            .WithRetryAfter(std::chrono::seconds(60)));
  }
  base::WallTime now = env_.runtime.clock().Wall();
  UploadRecord record;
  record.id = env_.ids.Make("upload_");
  record.tenant = caller.tenant;
  record.filename = std::move(upload.filename);
  record.purpose = std::move(upload.purpose);
  record.mime_type = std::move(upload.mime_type);
  record.bytes = upload.bytes;
  record.expires_after = upload.expires_after;
  record.created = now;
  record.expires = now + env_.limits.lifetime;
  auto put = [&record](catalog::Transaction& transaction) -> Result<> {
    record.sequence = transaction.NextSequence();
    transaction.Put(record);
    return {};
  };
  INFERQ_CO_TRY(co_await env_.catalog.Update(std::move(put)));
  co_return ViewOf(record);
}

Result<> Uploads::CheckPart(const UploadRecord& upload, uint64_t bytes) const {
  if (bytes == 0) return std::unexpected(Refuse("data", "The part is empty."));
  if (upload.parts.size() >= env_.limits.parts) {
    return std::unexpected(
        Refuse("data", fmt::format("{} has {} parts, the most that one may have; send larger ones.",
                                   upload.id, upload.parts.size())));
  }
  // Room for every part to come twice, as after lost answers.
  if (BytesOf(upload.parts) + bytes > 2 * upload.bytes) {
    return std::unexpected(
        Refuse("data", fmt::format("{} was created for {} bytes; with this part it would have more "
                                   "than twice as many.",
                                   upload.id, upload.bytes)));
  }
  return {};
}

Awaitable<Result<PartView>> Uploads::AddPart(Caller caller, std::string id,
                                             std::shared_ptr<Upload> bytes) {
  auto blob = std::static_pointer_cast<BlobUpload>(bytes);
  INFERQ_CO_ASSIGN(UploadRecord seen, FindPending(caller, id));
  INFERQ_CO_TRY(CheckPart(seen, blob->size()));
  INFERQ_CO_TRY(co_await blob->Seal());
  UploadPart part{.id = env_.ids.Make("part_"), .blob = blob->blob(), .bytes = blob->size()};
  env_.refs.Hold(part.blob);
  blob->Keep();
  auto add = [this, &id, &part](catalog::Transaction& transaction) -> Result<> {
    const UploadRecord* found = transaction.FindUpload(id);
    INFERQ_TRY(CheckPending(found));
    INFERQ_TRY(CheckPart(*found, part.bytes));
    UploadRecord upload = *found;
    upload.parts.push_back(part);
    transaction.Put(std::move(upload));
    return {};
  };
  if (auto added = co_await env_.catalog.Update(std::move(add)); !added) {
    env_.refs.Drop(part.blob);
    co_return std::unexpected(std::move(added).error());
  }
  co_return PartView{
      .id = part.id, .upload_id = std::move(id), .created = env_.runtime.clock().Wall()};
}

Awaitable<Result<UploadView>> Uploads::Complete(Caller caller, std::string id,
                                                UploadCompletion call) {
  for (auto other = joining_.find(id); other != joining_.end(); other = joining_.find(id)) {
    auto ended = other->second;
    co_await ended->Wait();
  }
  INFERQ_CO_ASSIGN(UploadRecord upload, Find(caller, id));
  bool done = upload.status == UploadStatus::kCompleted;
  if (done && upload.completion == HashOf(call)) co_return ViewOf(upload);
  INFERQ_CO_TRY(CheckPending(&upload));
  INFERQ_CO_ASSIGN(std::vector<UploadPart> parts, Choose(upload, call));
  auto ended = std::make_shared<runtime::Event>(env_.runtime);
  joining_[id] = ended;
  for (const UploadPart& part : parts) env_.refs.Hold(part.blob);  // also if it is cancelled
  auto joined = co_await Join(std::move(caller), std::move(upload), parts, std::move(call));
  Drop(parts);
  joining_.erase(id);
  ended->NotifyAll();
  co_return joined;
}

Awaitable<Result<UploadView>> Uploads::Join(Caller caller, UploadRecord upload,
                                            std::vector<UploadPart> parts, UploadCompletion call) {
  std::string id = upload.id;
  INFERQ_CO_ASSIGN(PartJoiner::Joined joined,
                   co_await PutTogether(std::move(parts), !call.md5.empty()));
  blob::BlobId made = joined.blob;
  Result<> good = CheckSum(call, joined.md5);
  if (good) {
    good = CheckContent({.purpose = upload.purpose,
                         .filename = upload.filename,
                         .size = joined.bytes,
                         .first = joined.first});
  }
  env_.refs.Hold(made);
  if (good) good = co_await Finish(caller, std::move(upload), std::move(joined), HashOf(call));
  if (!good) {
    env_.refs.Drop(made);
    co_return std::unexpected(std::move(good).error());
  }
  INFERQ_CO_ASSIGN(UploadRecord ended, Find(caller, id));
  co_return ViewOf(ended);
}

Awaitable<Result<PartJoiner::Joined>> Uploads::PutTogether(std::vector<UploadPart> parts,
                                                           bool with_sum) {
  auto joiner = std::make_shared<PartJoiner>(env_.blobs, std::move(parts), with_sum);
  Result<PartJoiner::Joined> joined;
  if (auto read = co_await ReadAll(joiner); read) {
    auto seal = [joiner] { return joiner->Seal(); };
    joined = co_await env_.runtime.RunBlocking(runtime::kAnyLane, seal);
  } else {
    joined = std::unexpected(std::move(read).error());
  }
  if (joined) co_return joined;
  auto discard = [joiner] { return joiner->Discard(); };
  (void)co_await env_.runtime.RunBlocking(runtime::kAnyLane, discard);  // else the next start does
  co_return std::unexpected(ForUploader(joined.error()));
}

// A few pieces at a time, so that others get at the blocking threads, and a stop is seen.
Awaitable<Result<>> Uploads::ReadAll(std::shared_ptr<PartJoiner> joiner) {
  Result<bool> more = true;
  while (more && *more) {
    if (stopping_) {
      co_return base::Fail(Code::kUnavailable, "The server is stopping; try again soon.");
    }
    if (*env_.low_on_room) co_return base::Fail(Code::kResourceExhausted, "the disk is full");
    auto step = [joiner] { return StepOn(*joiner); };
    more = co_await env_.runtime.RunBlocking(runtime::kAnyLane, step);
  }
  if (!more) co_return std::unexpected(std::move(more).error());
  co_return Result<>{};
}

Awaitable<Result<>> Uploads::Finish(Caller caller, UploadRecord upload, PartJoiner::Joined joined,
                                    uint64_t completion) {
  model::FileRecord file;
  std::vector<UploadPart> freed;
  auto finish = [&](catalog::Transaction& transaction) -> Result<> {
    const UploadRecord* found = transaction.FindUpload(upload.id);
    INFERQ_TRY(CheckPending(found));
    UploadRecord ended = *found;
    file = env_.files.Add(transaction, ended.tenant, FileOf(ended), joined.bytes, joined.blob);
    freed = std::exchange(ended.parts, {});
    ended.status = UploadStatus::kCompleted;
    ended.file_id = file.id;
    ended.completion = completion;
    ended.ended = file.created;
    transaction.Put(std::move(ended));
    return {};
  };
  INFERQ_CO_TRY(co_await env_.catalog.Update(std::move(finish)));
  Drop(freed);
  env_.observer.FileStored(caller, file);
  co_return Result<>{};
}

Awaitable<Result<UploadView>> Uploads::Cancel(Caller caller, std::string id) {
  INFERQ_CO_ASSIGN(UploadRecord upload, Find(caller, id));
  if (upload.status == UploadStatus::kCancelled) co_return ViewOf(upload);
  INFERQ_CO_TRY(CheckPending(&upload));
  INFERQ_CO_TRY(co_await End(id, UploadStatus::kCancelled));
  INFERQ_CO_ASSIGN(UploadRecord ended, Find(caller, id));
  co_return ViewOf(ended);
}

Awaitable<Result<>> Uploads::End(std::string id, UploadStatus status) {
  std::vector<UploadPart> freed;
  base::WallTime now = env_.runtime.clock().Wall();
  auto end = [&](catalog::Transaction& transaction) -> Result<> {
    const UploadRecord* found = transaction.FindUpload(id);
    if (found == nullptr || found->status != UploadStatus::kPending) {
      return CheckPending(found);
    }
    UploadRecord upload = *found;
    freed = std::exchange(upload.parts, {});
    upload.status = status;
    upload.ended = now;
    transaction.Put(std::move(upload));
    return {};
  };
  INFERQ_CO_TRY(co_await env_.catalog.Update(std::move(end)));
  Drop(freed);
  co_return Result<>{};
}

Awaitable<Result<>> Uploads::Sweep() {
  base::WallTime now = env_.runtime.clock().Wall();
  std::vector<std::string> over, old;
  env_.catalog.ForEachUpload([&](const UploadRecord& upload) {
    bool pending = upload.status == UploadStatus::kPending;
    if (pending && now >= upload.expires && !joining_.contains(upload.id))
      over.push_back(upload.id);
    if (!pending && upload.ended && now - *upload.ended >= kRemembered) old.push_back(upload.id);
  });
  for (std::string& id : over) {
    auto ended = co_await End(std::move(id), UploadStatus::kExpired);
    bool raced = !ended && ended.error().code() == Code::kFailedPrecondition;
    if (!ended && !raced) co_return ended;
  }
  if (old.empty()) co_return Result<>{};
  auto forget = [&old](catalog::Transaction& transaction) -> Result<> {
    for (const std::string& id : old) transaction.RemoveUpload(id);
    return {};
  };
  co_return co_await env_.catalog.Update(std::move(forget));
}

}  // namespace inferq::service
