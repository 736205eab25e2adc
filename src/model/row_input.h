#pragma once

#include <string>

namespace inferq::model {

/// How the rows of a batch's input become requests, for an input that holds rows (CSV, JSON) rather
/// than requests.
struct RowInput {
  std::string format{};           ///< "csv", "json", "jsonl", "auto"; "": it holds requests.
  std::string prompt_template{};  ///< With {{column}} for a row's values; "": by usual columns.
  std::string system{};           ///< System message; "" is none.
  std::string model{};            ///< Of every request.
  std::string body{};             ///< JSON object with more fields of each; "" is none.
};

}  // namespace inferq::model
