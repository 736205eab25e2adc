#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace inferq::wire {

/// A model as the API tells of it.
struct ModelObject {
  std::string id;
  int64_t created = 0;  ///< Unix seconds.
  std::string owned_by;
};

/// The object "model".
std::string ModelJson(const ModelObject& model);
/// `{"object":"list","data":[…]}`: one page, all of them.
std::string ModelListJson(const std::vector<ModelObject>& models);

}  // namespace inferq::wire
