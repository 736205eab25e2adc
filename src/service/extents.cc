#include "service/extents.h"

#include <algorithm>
#include <numeric>
#include <span>

namespace inferq::service {

using model::Extent;

namespace {

constexpr uint64_t kGap = 4096;  // read along rather than skipped
constexpr uint64_t kMostAtOnce = 1u << 20;

/// How many of `order` one read covers, from its begin on; at least one.
size_t RunLength(const std::vector<Extent>& extents, std::span<const size_t> order) {
  const Extent& first = extents[order.front()];
  uint64_t end = first.offset + first.length;
  size_t count = 1;
  for (; count < order.size(); ++count) {
    const Extent& next = extents[order[count]];
    uint64_t grown = std::max(end, next.offset + next.length);
    if (next.blob != first.blob || next.offset > end + kGap) break;
    if (grown - first.offset > kMostAtOnce) break;
    end = grown;
  }
  return count;
}

void ReadRun(blob::BlobStore& blobs, const std::vector<Extent>& extents,
             std::span<const size_t> run, std::vector<base::Result<std::string>>& texts) {
  const Extent& first = extents[run.front()];
  uint64_t end = 0;
  for (size_t i : run) end = std::max(end, extents[i].offset + extents[i].length);
  auto all = blobs.Read({.blob = first.blob, .offset = first.offset, .length = end - first.offset});
  for (size_t i : run) {
    const Extent& extent = extents[i];
    if (all) {
      texts[i] = all->substr(extent.offset - first.offset, extent.length);
    } else {
      texts[i] = blobs.Read(extent);
    }
  }
}

}  // namespace

std::vector<base::Result<std::string>> ReadExtents(blob::BlobStore& blobs,
                                                   const std::vector<Extent>& extents) {
  std::vector<base::Result<std::string>> texts(extents.size());
  std::vector<size_t> order(extents.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {},
                    [&](size_t i) { return std::pair(extents[i].blob, extents[i].offset); });
  for (std::span<const size_t> rest(order); !rest.empty();) {
    size_t count = RunLength(extents, rest);
    ReadRun(blobs, extents, rest.first(count), texts);
    rest = rest.subspan(count);
  }
  return texts;
}

}  // namespace inferq::service
