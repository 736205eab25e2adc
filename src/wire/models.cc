#include "wire/models.h"

#include <fmt/format.h>

#include "wire/json.h"

namespace inferq::wire {

std::string ModelJson(const ModelObject& model) {
  return fmt::format(R"({{"id":{},"object":"model","created":{},"owned_by":{}}})",
                     JsonString(model.id), model.created, JsonString(model.owned_by));
}

std::string ModelListJson(const std::vector<ModelObject>& models) {
  std::string out = R"({"object":"list","data":[)";
  for (const ModelObject& model : models) {
    if (&model != &models.front()) out += ',';
    out += ModelJson(model);
  }
  return out + "]}";
}

}  // namespace inferq::wire
