#include "wire/image_blobs.h"

#include <gtest/gtest.h>

namespace inferq::wire {
namespace {

const std::string kId = std::string(kBlobPrefix) + std::string(64, 'a');

std::vector<std::string> IdsIn(const std::string& body) {
  auto json = ParseJson(body);
  EXPECT_TRUE(json) << json.error().message();
  std::vector<std::string> ids;
  for (const BlobReference& reference : FindBlobReferences(*json)) {
    EXPECT_EQ(json->text().substr(reference.offset, reference.length), JsonString(reference.id));
    ids.push_back(reference.id);
  }
  return ids;
}

TEST(BlobReferences, StandInImagePartsOnly) {
  std::vector<std::string> ids = IdsIn(R"( {"model":"m","messages":[
    {"role":"system","content":"blob:sha256:text"},
    {"role":"user","content":[{"type":"text","text":"blob:sha256:text"},
      {"type":"image_url","image_url":{"detail":"low","url":"blob:sha256:1"}},
      {"type":"image_url","image_url":{"url":"https://a/b.png"}},
      {"type":"image_url","image_url":{"url":7}}, {"type":"image_url"}, 7,
      {"type":"image_url","image_url":"blob:sha256:2"}]}, 8],
    "other":[{"content":[{"image_url":"blob:sha256:3"}]}]})");
  EXPECT_EQ(ids, (std::vector<std::string>{"blob:sha256:1", "blob:sha256:2"}));
  EXPECT_EQ(IdsIn(R"({"input":[{"role":"user","content":[
    {"type":"input_image","image_url":"blob:sha256:4"}]}]})"),
            std::vector<std::string>{"blob:sha256:4"});
  for (const char* none : {R"({"messages":"x"})", R"({"input":"blob:sha256:1"})", "[]", "7"})
    EXPECT_TRUE(IdsIn(none).empty());
}

TEST(BlobReferences, AQuickLookFindsWhatTheFullOneDoes) {
  EXPECT_TRUE(MayNameBlobs(R"({"url":"blob:sha256:1"})"));
  EXPECT_FALSE(MayNameBlobs(R"({"url":"blob:sha1:1"})"));
}

TEST(BlobId, IsCheckedExactly) {
  EXPECT_TRUE(IsBlobId(kId));
  EXPECT_FALSE(IsBlobId(kId + "a"));
  EXPECT_FALSE(IsBlobId(kId.substr(0, kId.size() - 1)));
  EXPECT_FALSE(IsBlobId(kId.substr(0, kId.size() - 1) + "A"));
  EXPECT_FALSE(IsBlobId("blob:md5:" + std::string(64, 'a')));
}

TEST(Images, AreKnownByTheirFirstBytes) {
  EXPECT_EQ(ImageType("\x89PNG\r\n\x1A\n..."), "image/png");
  EXPECT_EQ(ImageType("\xFF\xD8\xFF\xE0"), "image/jpeg");
  EXPECT_EQ(ImageType("GIF89a"), "image/gif");
  EXPECT_EQ(ImageType("RIFF....WEBPVP8 "), "image/webp");
  for (const char* other : {"", "RIFF....WAVE", "RIFF", "<svg>", "%PDF", "\x89PNG"})
    EXPECT_EQ(ImageType(other), "");
}

TEST(Images, BecomeDataUrls) {
  std::string out;
  AppendDataUrl(out, "GIF89a");
  EXPECT_EQ(out, R"("data:image/gif;base64,R0lGODlh")");
  for (const auto& [more, base64] :
       {std::pair("1", "R0lGODlhMQ=="), std::pair("12", "R0lGODlhMTI="),
        std::pair("\xFF\xFE\xFD", "R0lGODlh//79")}) {
    out.clear();
    AppendDataUrl(out, std::string("GIF89a") + more);
    EXPECT_EQ(out, fmt::format(R"("data:image/gif;base64,{}")", base64));
    EXPECT_LE(out.size(), DataUrlSize(6 + std::string_view(more).size()));
  }
}

TEST(BlobObject, HasItsFields) {
  model::FileRecord blob;
  blob.id = kId;
  blob.bytes = 12;
  blob.created = base::WallTime(std::chrono::seconds(1'700'000'000));
  EXPECT_EQ(BlobJson(blob),
            fmt::format(R"({{"id":"{}","object":"blob","bytes":12,"created":1700000000}})", kId));
  EXPECT_EQ(DeletedBlobJson("x"), R"({"id":"x","object":"blob","deleted":true})");
}

}  // namespace
}  // namespace inferq::wire
