#include "wire/json_splice.h"

#include <algorithm>
#include <utility>

namespace inferq::wire {

std::string SpliceJson(std::string_view text, const std::vector<JsonSplice>& splices) {
  std::string out;
  size_t added = 0;
  for (const JsonSplice& splice : splices) added += splice.json.size();
  out.reserve(text.size() + added);
  const char* done = text.data();
  for (const JsonSplice& splice : splices) {
    out.append(done, splice.at.data()).append(splice.json);
    done = splice.at.data() + splice.at.size();
  }
  return out.append(done, text.data() + text.size());
}

std::vector<JsonSplice> SplicesOf(JsonValue object, const std::vector<JsonEdit>& edits) {
  std::vector<JsonSplice> splices;
  std::vector<bool> met(edits.size());
  bool empty = true;
  for (JsonMembers member(object); member.Next(); empty = false) {
    auto edit = std::ranges::find_if(edits, [&](const JsonEdit& e) { return member.KeyIs(e.key); });
    if (edit == edits.end()) continue;
    met[static_cast<size_t>(edit - edits.begin())] = true;
    if (!edit->replace && !member.value().is_null()) continue;
    splices.push_back({member.value().text(), edit->json});
  }
  std::string added;
  for (size_t i = 0; i < edits.size(); ++i) {
    if (met[i]) continue;
    if (!std::exchange(empty, false)) added += ',';
    added += JsonString(edits[i].key) + ":" + edits[i].json;
  }
  const std::string_view text = object.text();
  if (!added.empty()) splices.push_back({text.substr(text.size() - 1, 0), std::move(added)});
  return splices;
}

std::string SpliceJsonObject(JsonValue object, const std::vector<JsonEdit>& edits) {
  return SpliceJson(object.text(), SplicesOf(object, edits));
}

}  // namespace inferq::wire
