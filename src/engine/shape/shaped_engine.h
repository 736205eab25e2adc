#pragma once

#include <memory>

#include "engine/engine.h"
#include "engine/shape/answer_shape.h"

namespace inferq::engine {

/// Another engine, with its requests and answers changed as `shape` says. Embeddings pass as they
/// are.
std::unique_ptr<Engine> MakeShapedEngine(std::unique_ptr<Engine> inner, AnswerShape shape);

}  // namespace inferq::engine
