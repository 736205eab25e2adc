#include "queue/batch_plan.h"

#include <cstring>

namespace inferq::queue {

namespace {

// offset, length, cost, lane, locality, and a sum over all of it, in the machine's byte order.
struct Packed {
  uint64_t offset;
  uint32_t length;
  uint32_t cost;
  uint32_t lane;
  uint32_t sum;
  uint64_t locality[4];
};
static_assert(sizeof(Packed) == kLineInfoBytes);

// Mixes every field; finds a record that was damaged or does not begin here.
uint32_t SumOf(const Packed& packed) {
  uint64_t sum = 0x9e3779b97f4a7c15;
  auto mix = [&sum](uint64_t value) {
    sum = (sum ^ value) * 0xff51afd7ed558ccd;
    sum ^= sum >> 32;
  };
  mix(packed.offset);
  mix(uint64_t{packed.length} << 32 | packed.cost);
  mix(packed.lane);
  for (uint64_t part : packed.locality) mix(part);
  return static_cast<uint32_t>(sum);
}

}  // namespace

void EncodeLine(const LineInfo& line, std::string& out) {
  Packed packed{.offset = line.offset,
                .length = line.length,
                .cost = line.cost,
                .lane = line.lane,
                .sum = 0,
                .locality = {}};
  std::memcpy(packed.locality, line.locality.data(), sizeof(packed.locality));
  packed.sum = SumOf(packed);
  out.append(reinterpret_cast<const char*>(&packed), sizeof(packed));
}

base::Result<std::vector<LineInfo>> DecodeLines(std::string_view bytes) {
  if (bytes.size() % kLineInfoBytes != 0) {
    return base::Fail(base::Code::kDataLoss, "a line index ends within a record");
  }
  std::vector<LineInfo> lines(bytes.size() / kLineInfoBytes);
  for (LineInfo& line : lines) {
    Packed packed;
    std::memcpy(&packed, bytes.data(), sizeof(packed));
    bytes.remove_prefix(sizeof(packed));
    if (packed.sum != SumOf(packed)) {
      return base::Fail(base::Code::kDataLoss, "a record of a line index is damaged");
    }
    line.offset = packed.offset;
    line.length = packed.length;
    line.cost = packed.cost;
    line.lane = packed.lane;
    std::memcpy(line.locality.data(), packed.locality, sizeof(packed.locality));
  }
  return lines;
}

}  // namespace inferq::queue
