#include "api/model_name.h"

#include <algorithm>
#include <charconv>

#include "api/place.h"
#include "model/task.h"

namespace inferq::api {

using wire::ApiResult;

namespace {

bool IsOffered(std::string_view name, const std::vector<service::ModelView>& models) {
  return std::ranges::find(models, name, &service::ModelView::name) != models.end();
}

std::optional<int> ParsePriority(std::string_view text) {
  int priority = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), priority);
  bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || priority < model::kMinPriority || priority > model::kMaxPriority)
    return std::nullopt;
  return priority;
}

wire::ApiError BadPriority(std::string_view what, std::string_view param) {
  return wire::BadRequest(fmt::format("{} must be a whole number from {} to {}.", what,
                                      model::kMinPriority, model::kMaxPriority),
                          param, "invalid_value");
}

/// Cuts the ending behind the last `mark` off.
std::optional<std::string_view> TakeEnding(std::string_view& name, char mark) {
  size_t at = name.rfind(mark);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view ending = name.substr(at + 1);
  name = name.substr(0, at);
  return ending;
}

}  // namespace

ApiResult<ModelName> ParseModelName(std::string_view name,
                                    const std::vector<service::ModelView>& models) {
  ModelName whole{.model = std::string(name)};
  if (IsOffered(name, models)) return whole;
  ModelName parts;
  std::string_view rest = name;
  auto priority = TakeEnding(rest, '!');
  if (!IsOffered(rest, models)) {
    auto tenant = TakeEnding(rest, '@');
    if (!tenant || !IsTenantName(*tenant) || !IsOffered(rest, models)) return whole;
    parts.tenant = *tenant;
  }
  parts.model = rest;
  if (!priority) return parts;
  parts.priority = ParsePriority(*priority);
  if (!parts.priority)
    return std::unexpected(BadPriority("What stands behind '!' in the model's name", "model"));
  return parts;
}

ApiResult<std::string> SettleModel(Call& call, std::string_view name, int& priority) {
  INFERQ_ASSIGN(ModelName parts, ParseModelName(name, call.use_cases.models()));
  if (parts.tenant && call.options.keys.required && *parts.tenant != call.caller.tenant) {
    return std::unexpected(OtherTenant(*parts.tenant, "the model's name"));
  }
  if (parts.tenant && !call.tenant_named) call.caller.tenant = *std::move(parts.tenant);
  auto header = http::FindHeader(call.request().headers, "x-inferq-priority");
  auto said = header ? ParsePriority(*header) : std::nullopt;
  if (header && !said) {
    return std::unexpected(BadPriority("The header X-Inferq-Priority", "X-Inferq-Priority"));
  }
  if (said) priority = *said;
  if (parts.priority) priority = *parts.priority;
  return parts.model;
}

}  // namespace inferq::api
