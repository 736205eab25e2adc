#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace inferq::queue {

using NameId = uint32_t;

/// Gives equal strings (tenants, lanes) one number, so that a task holds four bytes of each. Never
/// forgets.
class Names {
 public:
  NameId Intern(std::string_view name) {
    auto found = ids_.find(name);
    if (found != ids_.end()) return found->second;
    names_.emplace_back(name);
    auto id = static_cast<NameId>(names_.size() - 1);
    ids_.emplace(names_.back(), id);  // views the deque's string, which never moves
    return id;
  }
  std::optional<NameId> Find(std::string_view name) const {
    auto found = ids_.find(name);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }
  const std::string& operator[](NameId id) const { return names_[id]; }

 private:
  std::deque<std::string> names_;
  std::unordered_map<std::string_view, NameId> ids_;
};

}  // namespace inferq::queue
