#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "base/file_system.h"
#include "config/schema.h"

namespace inferq::config {

/// Where a value comes from, for people: "default", "inferq.toml:12", "INFERQ_SERVER_LISTEN",
/// "--server-listen".
using Origin = std::string;
inline constexpr std::string_view kDefaultOrigin = "default";

/// The values of a file, or of one of its repeated tables: every declared option has one.
class Settings {
 public:
  struct Setting {
    Value value;
    Origin origin;
    bool secret = false;
  };

  /// The value of a declared option; `T` is its type.
  template <class T>
  const T& Get(std::string_view key) const {
    const T* value = std::get_if<T>(&Find(key).value);
    INFERQ_CHECK(value != nullptr);
    return *value;
  }
  const Origin& origin(std::string_view key) const { return Find(key).origin; }
  /// Whether somebody set it; else it is the default.
  bool given(std::string_view key) const { return origin(key) != kDefaultOrigin; }
  /// For people; never a secret.
  std::string Show(std::string_view key) const;
  /// Where the table begins: "inferq.toml:30".
  const Origin& place() const { return place_; }

  void Set(std::string key, Setting setting) { settings_[std::move(key)] = std::move(setting); }
  void set_place(Origin place) { place_ = std::move(place); }

 private:
  const Setting& Find(std::string_view key) const;

  std::map<std::string, Setting, std::less<>> settings_;
  Origin place_;
};

struct Config {
  Settings settings;
  std::map<std::string, std::vector<Settings>, std::less<>> tables;  ///< One entry per declaration.
};

/// A flag of the command line: which key, and the text behind it.
struct Flag {
  std::string key;
  std::string text;
};

/// What can set values; later ones win: defaults, file, environment, flags.
struct Sources {
  std::string file;  ///< Path of a TOML file; "" is none.
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::vector<Flag> flags;  ///< Of keys that KeysOf() names.
};

/// Reads and checks everything. kInvalidArgument lists every problem, one line each: origin, key,
/// value and what is allowed. kNotFound and the like: the file cannot be read. Unknown environment
/// variables are not looked at: orchestrators set some that begin with INFERQ_.
base::Result<Config> Load(const Schema& schema, const Sources& sources, base::FileSystem& files);

}  // namespace inferq::config
