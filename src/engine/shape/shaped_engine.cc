#include "engine/shape/shaped_engine.h"

#include <optional>
#include <utility>

#include "engine/wrapped_engine.h"

namespace inferq::engine {

using base::Result;

namespace {

class ShapedGeneration final : public Generation {
 public:
  ShapedGeneration(std::unique_ptr<Generation> inner, std::shared_ptr<const AnswerShape> shape,
                   Endpoint endpoint, bool whole)
      : state_(std::make_shared<State>(std::move(inner), std::move(shape), endpoint, whole)) {}
  ~ShapedGeneration() override { state_->inner->Cancel(); }

  Awaitable<Result<Delta>> Next() override { return NextOf(state_); }
  void Cancel() override { state_->inner->Cancel(); }

 private:
  struct State {
    State(std::unique_ptr<Generation> generation, std::shared_ptr<const AnswerShape> wanted,
          Endpoint endpoint, bool at_once)
        : inner(std::move(generation)),
          shape(std::move(wanted)),
          trimmer(endpoint, shape->strip_suffix),
          whole(at_once) {}
    std::unique_ptr<Generation> inner;
    std::shared_ptr<const AnswerShape> shape;
    AnswerTrimmer trimmer;
    bool whole;
  };

  // The caller may drop the generation while this waits.
  static Awaitable<Result<Delta>> NextOf(std::shared_ptr<State> state) {
    auto next = state->whole ? Collect(*state->inner) : state->inner->Next();
    INFERQ_CO_ASSIGN(Delta delta, co_await std::move(next));
    if (!state->shape->strip_suffix.empty()) state->trimmer.Trim(delta);
    co_return delta;
  }

  std::shared_ptr<State> state_;
};

class ShapedEngine final : public WrappedEngine {
 public:
  ShapedEngine(std::unique_ptr<Engine> inner, AnswerShape shape)
      : WrappedEngine(std::move(inner)),
        shape_(std::make_shared<const AnswerShape>(std::move(shape))) {}

  Result<std::unique_ptr<Generation>> Submit(Request request) override {
    if (request.endpoint == Endpoint::kEmbeddings) return inner().Submit(std::move(request));
    AddStops(request);
    const Endpoint endpoint = request.endpoint;
    const bool whole = shape_->buffer_stream && request.stream;
    if (whole) request.stream = false;
    INFERQ_ASSIGN(auto generation, inner().Submit(std::move(request)));
    return std::make_unique<ShapedGeneration>(std::move(generation), shape_, endpoint, whole);
  }

 private:
  // A body that is no object is for the engine to refuse.
  void AddStops(Request& request) const {
    if (shape_->stop.empty()) return;
    auto body = wire::ParseJson(request.body);
    if (!body || body->type() != wire::JsonType::kObject) return;
    request.body = WithStops(*body, shape_->stop);
  }

  std::shared_ptr<const AnswerShape> shape_;
};

}  // namespace

std::unique_ptr<Engine> MakeShapedEngine(std::unique_ptr<Engine> inner, AnswerShape shape) {
  return std::make_unique<ShapedEngine>(std::move(inner), std::move(shape));
}

}  // namespace inferq::engine
