#include "runtime/asio_runtime.h"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <thread>
#include <unordered_map>
#include <vector>

namespace inferq::runtime {
namespace {

namespace asio = boost::asio;

constexpr int kPoolThreads = 4;

std::string LaneThreadName(uint32_t lane, int index) {
  switch (lane) {
    case kAnyLane:
      return fmt::format("block-{}", index);
    case kJournalLane:
      return "journal";
    case kResultLane:
      return "results";
    case kCatalogLane:
      return "catalog";
    case kReadLane:
      return "reader";
    case kRequestLane:
      return "requests";
    default:
      return fmt::format("lane-{}", lane);
  }
}

// An event loop for calls that may block, on threads of its own.
class BlockingLane {
 public:
  BlockingLane(uint32_t lane, int threads) {
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this] { io_.run(); });
      pthread_setname_np(threads_.back().native_handle(), LaneThreadName(lane, i).c_str());
    }
  }
  ~BlockingLane() {
    guard_.reset();  // finishes what is posted
    for (std::thread& thread : threads_) thread.join();
  }
  BlockingLane(const BlockingLane&) = delete;
  BlockingLane& operator=(const BlockingLane&) = delete;

  asio::io_context& io() { return io_; }

 private:
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_{io_.get_executor()};
  std::vector<std::thread> threads_;
};

}  // namespace

struct AsioRuntime::Timers {
  std::unordered_map<TimerId, std::unique_ptr<asio::steady_timer>> by_id;
  TimerId last = 0;
};

struct AsioRuntime::Lanes {
  BlockingLane& Get(uint32_t lane) {
    base::MutexLock lock(mu);
    auto& slot = by_number[lane];
    if (!slot) slot = std::make_unique<BlockingLane>(lane, lane == kAnyLane ? kPoolThreads : 1);
    return *slot;
  }
  base::Mutex mu;
  std::map<uint32_t, std::unique_ptr<BlockingLane>> by_number GUARDED_BY(mu);
};

AsioRuntime::AsioRuntime()
    : timers_(std::make_unique<Timers>()), lanes_(std::make_shared<Lanes>()) {}

AsioRuntime::AsioRuntime(AsioRuntime& other)
    : timers_(std::make_unique<Timers>()), lanes_(other.lanes_) {}

AsioRuntime::~AsioRuntime() {
  WaitForBlockingCalls();
  lanes_.reset();
  timers_.reset();
}

void AsioRuntime::WaitForBlockingCalls() {
  base::MutexLock lock(mu_);
  while (blocking_ > 0) blocking_changed_.Wait(mu_);
}

void AsioRuntime::Run() {
  auto guard = asio::make_work_guard(io_);
  io_.restart();
  io_.run();
}

void AsioRuntime::Stop() { io_.stop(); }

void AsioRuntime::Post(Function fn) {
  asio::post(io_, [fn = std::move(fn)]() mutable { fn(); });
}

Runtime::TimerId AsioRuntime::CallAt(base::SteadyTime when, Function fn) {
  TimerId id = ++timers_->last;
  std::chrono::steady_clock::time_point at(when.time_since_epoch());
  auto timer = std::make_unique<asio::steady_timer>(io_, at);
  timer->async_wait([this, id, fn = std::move(fn)](const boost::system::error_code& error) mutable {
    if (error) return;  // cancelled
    // Cancelled after it expired, while its handler was already queued: the owner may be gone.
    if (timers_->by_id.erase(id) == 0) return;
    fn();
  });
  timers_->by_id.emplace(id, std::move(timer));
  return id;
}

void AsioRuntime::CancelTimer(TimerId id) {
  // Frames that are destroyed together with the event loop still take their timers back.
  if (timers_) timers_->by_id.erase(id);
}

void AsioRuntime::PostBlocking(uint32_t lane, Function work, Function done) {
  auto run = [this, work = std::move(work), done = std::move(done)]() mutable {
    work();
    Post(std::move(done));
    base::MutexLock lock(mu_);
    --blocking_;
    blocking_changed_.NotifyAll();  // under the lock: we may be destroyed behind it
  };
  {
    base::MutexLock lock(mu_);
    ++blocking_;
  }
  asio::post(lanes_->Get(lane).io(), std::move(run));
}

}  // namespace inferq::runtime
