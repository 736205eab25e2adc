#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "model/batch.h"
#include "model/file.h"

namespace inferq::catalog {

/// A record as bytes: a version, then its fields. Not checked against damage: the row's sum does
/// that.
std::string Encode(const model::FileRecord& file);
std::string Encode(const model::BatchRecord& batch);

/// kDataLoss: not what Encode makes.
base::Result<> Decode(std::string_view bytes, model::FileRecord& file);
base::Result<> Decode(std::string_view bytes, model::BatchRecord& batch);

}  // namespace inferq::catalog
