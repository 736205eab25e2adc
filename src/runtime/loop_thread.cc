#include "runtime/loop_thread.h"

#include <pthread.h>

namespace inferq::runtime {

LoopThread::LoopThread(AsioRuntime& lanes, const std::string& name)
    : runtime_(lanes), thread_([this] { runtime_.Run(); }) {
  pthread_setname_np(thread_.native_handle(), name.c_str());
}

LoopThread::~LoopThread() {
  runtime_.Post([this] { runtime_.Stop(); });  // from inside: Run may not have begun yet
  thread_.join();
}

}  // namespace inferq::runtime
