#pragma once

#include <string>

#include "app/serve_options.h"
#include "runtime/asio_runtime.h"
#include "service/service.h"

namespace inferq::app {

/// What the service needs to offer a model. `runtime` outlives its engines.
service::ModelSpec MakeModelSpec(runtime::AsioRuntime& runtime, const ModelOptions& options);

/// "llama models/a.gguf", "remote http://…", "fake".
std::string DescribeModel(const ModelOptions& options);

}  // namespace inferq::app
