#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

// Clang's thread-safety annotations (https://clang.llvm.org/docs/ThreadSafetyAnalysis.html); other
// compilers see nothing.
#if defined(__clang__)
#define INFERQ_TSA(x) __attribute__((x))
#else
#define INFERQ_TSA(x)
#endif
#define CAPABILITY(x) INFERQ_TSA(capability(x))
#define SCOPED_CAPABILITY INFERQ_TSA(scoped_lockable)
#define GUARDED_BY(x) INFERQ_TSA(guarded_by(x))
#define REQUIRES(...) INFERQ_TSA(requires_capability(__VA_ARGS__))
#define ACQUIRE(...) INFERQ_TSA(acquire_capability(__VA_ARGS__))
#define RELEASE(...) INFERQ_TSA(release_capability(__VA_ARGS__))
#define EXCLUDES(...) INFERQ_TSA(locks_excluded(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS INFERQ_TSA(no_thread_safety_analysis)

namespace inferq::base {

/// std::mutex with annotations, for leaf data only: never held across co_await or another lock.
class CAPABILITY("mutex") Mutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

/// A condition variable that waits on Mutex.
class CondVar {
 public:
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }
  void Wait(Mutex& mutex) REQUIRES(mutex) { cv_.wait(mutex); }
  template <class Rep, class Period>
  void WaitFor(Mutex& mutex, std::chrono::duration<Rep, Period> timeout) REQUIRES(mutex) {
    cv_.wait_for(mutex, timeout);
  }

 private:
  std::condition_variable_any cv_;
};

}  // namespace inferq::base
