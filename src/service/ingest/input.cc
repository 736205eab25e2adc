#include "service/ingest/input.h"

#include <algorithm>

#include "base/check.h"

namespace inferq::ingest {
namespace {

constexpr size_t kChunk = 64u << 10;

}  // namespace

void Input::MakeRoom() {
  if (begin_ > 0) {
    std::copy(buffer_.begin() + static_cast<ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  // Doubling keeps the copying of a long item linear.
  if (buffer_.size() - end_ < kChunk / 2) buffer_.resize(std::max(buffer_.size() * 2, kChunk));
}

base::Result<bool> Input::More() {
  if (at_end_) return false;
  MakeRoom();
  INFERQ_ASSIGN(size_t size, read_(buffer_.data() + end_, buffer_.size() - end_));
  INFERQ_CHECK(size <= buffer_.size() - end_);
  end_ += size;
  at_end_ = size == 0;
  return !at_end_;
}

void Input::Consume(size_t size) {
  INFERQ_CHECK(size <= end_ - begin_);
  line_ += static_cast<uint64_t>(std::ranges::count(data().substr(0, size), '\n'));
  begin_ += size;
  offset_ += size;
}

void Input::ConsumeLine(size_t size) {
  INFERQ_CHECK(size > 0 && size <= end_ - begin_ && data()[size - 1] == '\n');
  ++line_;
  begin_ += size;
  offset_ += size;
}

}  // namespace inferq::ingest
