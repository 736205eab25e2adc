#pragma once

#include <span>
#include <string>
#include <string_view>

#include "api/call.h"

namespace inferq::api {

// files_routes.cc
Awaitable<wire::ApiResult<>> CreateFile(Call& call);
Awaitable<wire::ApiResult<>> ListFiles(Call& call);
Awaitable<wire::ApiResult<>> GetFile(Call& call);
Awaitable<wire::ApiResult<>> DeleteFile(Call& call);
Awaitable<wire::ApiResult<>> GetFileContent(Call& call);
// upload_routes.cc
Awaitable<wire::ApiResult<>> CreateUpload(Call& call);
Awaitable<wire::ApiResult<>> AddUploadPart(Call& call);
Awaitable<wire::ApiResult<>> CompleteUpload(Call& call);
Awaitable<wire::ApiResult<>> CancelUpload(Call& call);
// batch_routes.cc
Awaitable<wire::ApiResult<>> CreateBatch(Call& call);
Awaitable<wire::ApiResult<>> ListBatches(Call& call);
Awaitable<wire::ApiResult<>> GetBatch(Call& call);
Awaitable<wire::ApiResult<>> CancelBatch(Call& call);
// batch_extension_routes.cc
Awaitable<wire::ApiResult<>> PauseBatch(Call& call);
Awaitable<wire::ApiResult<>> ResumeBatch(Call& call);
Awaitable<wire::ApiResult<>> EditBatch(Call& call);
Awaitable<wire::ApiResult<>> RetryBatch(Call& call);
// batch_results_routes.cc
Awaitable<wire::ApiResult<>> GetBatchResults(Call& call);
// blob_routes.cc
Awaitable<wire::ApiResult<>> CreateBlob(Call& call);
Awaitable<wire::ApiResult<>> ListBlobs(Call& call);
Awaitable<wire::ApiResult<>> GetBlob(Call& call);
Awaitable<wire::ApiResult<>> DeleteBlob(Call& call);
// webhook_routes.cc
Awaitable<wire::ApiResult<>> ListDeliveries(Call& call);
// online_routes.cc
Awaitable<wire::ApiResult<>> CreateChatCompletion(Call& call);
Awaitable<wire::ApiResult<>> CreateCompletion(Call& call);
Awaitable<wire::ApiResult<>> CreateResponse(Call& call);
Awaitable<wire::ApiResult<>> CreateEmbedding(Call& call);
// task_routes.cc
Awaitable<wire::ApiResult<>> CreateTasks(Call& call);
Awaitable<wire::ApiResult<>> ListTasks(Call& call);
Awaitable<wire::ApiResult<>> GetTask(Call& call);
Awaitable<wire::ApiResult<>> ExplainTask(Call& call);
Awaitable<wire::ApiResult<>> EditTask(Call& call);
Awaitable<wire::ApiResult<>> CancelTask(Call& call);
Awaitable<wire::ApiResult<>> CancelTasks(Call& call);
Awaitable<wire::ApiResult<>> RequeueTask(Call& call);
// worker_routes.cc
Awaitable<wire::ApiResult<>> ClaimTasks(Call& call);
Awaitable<wire::ApiResult<>> RenewTasks(Call& call);
Awaitable<wire::ApiResult<>> CompleteTasks(Call& call);
Awaitable<wire::ApiResult<>> FailTasks(Call& call);
Awaitable<wire::ApiResult<>> ReleaseTasks(Call& call);
Awaitable<wire::ApiResult<>> Heartbeat(Call& call);
Awaitable<wire::ApiResult<>> ListWorkers(Call& call);
// model_routes.cc
Awaitable<wire::ApiResult<>> ListModels(Call& call);
Awaitable<wire::ApiResult<>> GetModel(Call& call);

struct Route {
  std::string_view method;  ///< GET stands for HEAD, too.
  /// "{id}" stands for one segment, "{id...}" for one or more.
  std::string_view pattern;
  uint64_t BodyLimits::* body_limit;  ///< nullptr: bodies are not read.
  RouteHandler handle;
};
/// All of the API.
std::span<const Route> Routes();

struct RouteMatch {
  const Route* route = nullptr;  ///< nullptr: none.
  std::string id;
  std::string allow;  ///< Without a route: the methods that the path has, "GET, HEAD"; "" is none.
};
RouteMatch FindRoute(std::span<const Route> routes, std::string_view method, std::string_view path);

}  // namespace inferq::api
