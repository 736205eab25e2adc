#include "queue/local/line_states.h"

#include <algorithm>

#include "base/check.h"

namespace inferq::queue {

using model::State;

uint64_t LineStates::SizeOf(uint64_t chunk) const {
  return std::min(kChunk, lines_ - chunk * kChunk);
}

uint8_t LineStates::Read(const Chunk& chunk, uint64_t at) {
  if (!chunk.nibbles) return chunk.all;
  uint8_t both = (*chunk.nibbles)[at / 2];
  return at % 2 == 0 ? both & 0xF : both >> 4;
}

void LineStates::Write(Chunk& chunk, uint64_t at, uint8_t value) {
  if (!chunk.nibbles) {
    chunk.nibbles = std::make_unique<std::array<uint8_t, kChunk / 2>>();
    chunk.nibbles->fill(static_cast<uint8_t>(chunk.all << 4 | chunk.all));
  }
  uint8_t& both = (*chunk.nibbles)[at / 2];
  both = at % 2 == 0 ? static_cast<uint8_t>((both & 0xF0) | value)
                     : static_cast<uint8_t>((both & 0x0F) | value << 4);
}

// A chunk that is all the same needs no bits.
void LineStates::Compact(Chunk& chunk, uint64_t size, uint8_t value) {
  for (uint64_t at = 0; at < size; ++at) {
    if (Read(chunk, at) != value) return;
  }
  chunk.all = value;
  chunk.nibbles.reset();
}

std::optional<State> LineStates::Get(uint64_t line) const {
  INFERQ_CHECK(line < lines_);
  uint8_t value = Read(chunks_[line / kChunk], line % kChunk);
  return value == kLive ? std::nullopt : std::optional(static_cast<State>(value));
}

void LineStates::Set(uint64_t line, State state) {
  INFERQ_CHECK(!Get(line) && IsTerminal(state));
  Chunk& chunk = chunks_[line / kChunk];
  auto value = static_cast<uint8_t>(state);
  Write(chunk, line % kChunk, value);
  ++ended_;
  uint64_t size = SizeOf(line / kChunk);
  if (++chunk.ended == size) Compact(chunk, size, value);
}

void LineStates::Clear(uint64_t line) {
  INFERQ_CHECK(Get(line).has_value());
  Chunk& chunk = chunks_[line / kChunk];
  Write(chunk, line % kChunk, kLive);
  --ended_;
  if (--chunk.ended == 0) Compact(chunk, SizeOf(line / kChunk), kLive);
}

std::optional<uint64_t> LineStates::NextLive(uint64_t line) const {
  while (line < lines_) {
    const Chunk& chunk = chunks_[line / kChunk];
    if (chunk.ended == SizeOf(line / kChunk)) {
      line = (line / kChunk + 1) * kChunk;
    } else if (Read(chunk, line % kChunk) == kLive) {
      return line;
    } else {
      ++line;
    }
  }
  return std::nullopt;
}

}  // namespace inferq::queue
