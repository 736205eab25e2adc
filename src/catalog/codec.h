#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "model/batch.h"
#include "model/file.h"
#include "model/upload.h"

namespace inferq::catalog {

/// A record as bytes: a version, then its fields. Not checked against damage: the row's sum does
/// that.
std::string Encode(const model::FileRecord& file);
std::string Encode(const model::BatchRecord& batch);
std::string Encode(const model::UploadRecord& upload);

/// kDataLoss: not what Encode makes.
base::Result<> Decode(std::string_view bytes, model::FileRecord& file);
base::Result<> Decode(std::string_view bytes, model::BatchRecord& batch);
base::Result<> Decode(std::string_view bytes, model::UploadRecord& upload);

}  // namespace inferq::catalog
