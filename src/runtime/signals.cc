#include "runtime/signals.h"

#include <boost/asio/signal_set.hpp>

namespace inferq::runtime {

struct SignalWatcher::State {
  State(boost::asio::io_context& io, std::function<void(int)> fn)
      : set(io), on_signal(std::move(fn)) {}
  boost::asio::signal_set set;
  std::function<void(int)> on_signal;
};

SignalWatcher::SignalWatcher(AsioRuntime& runtime, std::initializer_list<int> signals,
                             std::function<void(int)> on_signal)
    : state_(std::make_shared<State>(runtime.io_context(), std::move(on_signal))) {
  for (int number : signals) state_->set.add(number);
  Wait(state_);
}

SignalWatcher::~SignalWatcher() {
  state_->on_signal = nullptr;
  boost::system::error_code ignored;
  state_->set.cancel(ignored);
}

void SignalWatcher::Wait(std::shared_ptr<State> state) {
  auto* set = &state->set;
  set->async_wait([state = std::move(state)](const boost::system::error_code& error, int number) {
    if (error || !state->on_signal) return;
    state->on_signal(number);
    Wait(state);
  });
}

}  // namespace inferq::runtime
