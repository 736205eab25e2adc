#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "model/state.h"

namespace inferq::queue {

/// Which lines of a batch have ended, and how: four bits a line, in chunks; a chunk in which
/// nothing has ended, or everything in the same way, takes none.
class LineStates {
 public:
  explicit LineStates(uint64_t lines) : lines_(lines), chunks_((lines + kChunk - 1) / kChunk) {}

  /// nullopt: it has not ended.
  std::optional<model::State> Get(uint64_t line) const;
  /// The line ends. It must not have.
  void Set(uint64_t line, model::State state);
  /// An ending is taken back.
  void Clear(uint64_t line);
  /// The first line at or behind `line` that has not ended; nullopt: all have.
  std::optional<uint64_t> NextLive(uint64_t line) const;
  uint64_t ended() const { return ended_; }
  uint64_t lines() const { return lines_; }

 private:
  static constexpr uint64_t kChunk = 4096;
  static constexpr uint8_t kLive = 0;
  static_assert(static_cast<uint8_t>(model::State::kBlocked) == kLive, "never an ending");

  struct Chunk {
    uint32_t ended = 0;
    uint8_t all = kLive;  // without `nibbles`: the state of every line
    std::unique_ptr<std::array<uint8_t, kChunk / 2>> nibbles;
  };

  uint64_t SizeOf(uint64_t chunk) const;
  static uint8_t Read(const Chunk& chunk, uint64_t at);
  void Write(Chunk& chunk, uint64_t at, uint8_t value);
  void Compact(Chunk& chunk, uint64_t size, uint8_t value);

  uint64_t lines_;
  uint64_t ended_ = 0;
  std::vector<Chunk> chunks_;
};

}  // namespace inferq::queue
