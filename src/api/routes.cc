#include "api/routes.h"

#include <array>
#include <optional>

namespace inferq::api {

namespace {

constexpr std::array kRoutes = {
    Route{"POST", "/files", &BodyLimits::upload, CreateFile},
    Route{"GET", "/files", nullptr, ListFiles},
    Route{"GET", "/files/{id}", nullptr, GetFile},
    Route{"DELETE", "/files/{id}", nullptr, DeleteFile},
    Route{"GET", "/files/{id}/content", nullptr, GetFileContent},
    Route{"POST", "/uploads", &BodyLimits::small, CreateUpload},
    Route{"POST", "/uploads/{id}/parts", &BodyLimits::part, AddUploadPart},
    Route{"POST", "/uploads/{id}/complete", &BodyLimits::small, CompleteUpload},
    Route{"POST", "/uploads/{id}/cancel", nullptr, CancelUpload},
    Route{"POST", "/batches", &BodyLimits::batch, CreateBatch},
    Route{"GET", "/batches", nullptr, ListBatches},
    Route{"GET", "/batches/{id}", nullptr, GetBatch},
    Route{"POST", "/batches/{id}/cancel", nullptr, CancelBatch},
    Route{"PATCH", "/batches/{id}", &BodyLimits::small, EditBatch},
    Route{"POST", "/batches/{id}/pause", nullptr, PauseBatch},
    Route{"POST", "/batches/{id}/resume", nullptr, ResumeBatch},
    Route{"POST", "/batches/{id}/retry", nullptr, RetryBatch},
    Route{"GET", "/batches/{id}/results", nullptr, GetBatchResults},
    Route{"POST", "/blobs", &BodyLimits::online, CreateBlob},
    Route{"GET", "/blobs", nullptr, ListBlobs},
    Route{"GET", "/blobs/{id}", nullptr, GetBlob},
    Route{"DELETE", "/blobs/{id}", nullptr, DeleteBlob},
    Route{"GET", "/webhooks/deliveries", nullptr, ListDeliveries},
    Route{"POST", "/chat/completions", &BodyLimits::online, CreateChatCompletion},
    Route{"POST", "/completions", &BodyLimits::online, CreateCompletion},
    Route{"POST", "/responses", &BodyLimits::online, CreateResponse},
    Route{"POST", "/embeddings", &BodyLimits::online, CreateEmbedding},
    Route{"POST", "/tasks", &BodyLimits::tasks, CreateTasks},
    Route{"GET", "/tasks", nullptr, ListTasks},
    Route{"POST", "/tasks/cancel", &BodyLimits::small, CancelTasks},
    Route{"GET", "/tasks/{id}", nullptr, GetTask},
    Route{"PATCH", "/tasks/{id}", &BodyLimits::small, EditTask},
    Route{"GET", "/tasks/{id}/explain", nullptr, ExplainTask},
    Route{"POST", "/tasks/{id}/cancel", nullptr, CancelTask},
    Route{"POST", "/tasks/{id}/requeue", nullptr, RequeueTask},
    Route{"POST", "/workers/claim", &BodyLimits::small, ClaimTasks},
    Route{"POST", "/workers/renew", &BodyLimits::workers, RenewTasks},
    Route{"POST", "/workers/complete", &BodyLimits::workers, CompleteTasks},
    Route{"POST", "/workers/fail", &BodyLimits::workers, FailTasks},
    Route{"POST", "/workers/release", &BodyLimits::small, ReleaseTasks},
    Route{"POST", "/workers/heartbeat", &BodyLimits::small, Heartbeat},
    Route{"GET", "/workers", nullptr, ListWorkers},
    Route{"GET", "/models", nullptr, ListModels},
    Route{"GET", "/models/{id...}", nullptr, GetModel},
};

/// What stands for the placeholder ("" when the pattern has none); nullopt: no match.
std::optional<std::string_view> Match(std::string_view pattern, std::string_view path) {
  size_t open = pattern.find('{');
  if (open == std::string_view::npos) {
    return path == pattern ? std::optional<std::string_view>("") : std::nullopt;
  }
  size_t close = pattern.find('}');
  std::string_view prefix = pattern.substr(0, open);
  std::string_view suffix = pattern.substr(close + 1);
  bool many = pattern.substr(0, close).ends_with("...");
  if (path.size() <= prefix.size() + suffix.size()) return std::nullopt;
  if (!path.starts_with(prefix) || !path.ends_with(suffix)) return std::nullopt;
  std::string_view id = path.substr(prefix.size(), path.size() - prefix.size() - suffix.size());
  if (!many && id.find('/') != std::string_view::npos) return std::nullopt;
  return id;
}

}  // namespace

std::span<const Route> Routes() { return kRoutes; }

RouteMatch FindRoute(std::span<const Route> routes, std::string_view method,
                     std::string_view path) {
  std::string_view served = method == "HEAD" ? "GET" : method;
  RouteMatch found;
  for (const Route& route : routes) {
    auto id = Match(route.pattern, path);
    if (!id) continue;
    if (route.method == served) return {.route = &route, .id = std::string(*id), .allow = {}};
    if (!found.allow.empty()) found.allow += ", ";
    found.allow += route.method == "GET" ? "GET, HEAD" : route.method;
  }
  return found;
}

}  // namespace inferq::api
