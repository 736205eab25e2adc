#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace inferq::sched {

/// A place in a Pool: half the size of a pointer.
using Handle = uint32_t;
inline constexpr Handle kNone = UINT32_MAX;

/// Objects at fixed addresses, named by 32-bit handles and stored without any memory of their own
/// per object. Freed places are used again; memory goes back when the pool does.
template <class T>
class Pool {
 public:
  T& operator[](Handle handle) { return chunks_[handle / kChunk][handle % kChunk]; }
  const T& operator[](Handle handle) const { return chunks_[handle / kChunk][handle % kChunk]; }

  Handle Allocate() {
    if (free_.empty()) return Grow();
    Handle handle = free_.back();
    free_.pop_back();
    (*this)[handle] = T{};
    return handle;
  }
  void Free(Handle handle) { free_.push_back(handle); }

 private:
  static constexpr Handle kChunk = 1024;

  Handle Grow() {
    if (used_ % kChunk == 0) chunks_.push_back(std::make_unique<T[]>(kChunk));
    return used_++;
  }

  std::vector<std::unique_ptr<T[]>> chunks_;
  std::vector<Handle> free_;
  Handle used_ = 0;  ///< Places ever given out.
};

}  // namespace inferq::sched
