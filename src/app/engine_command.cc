#include "app/engine_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "app/exit_code.h"

namespace inferq::app {

bool IsEngineCommand(int argc, char** argv) {
  return argc > 1 && std::string_view(argv[1]) == "engine";
}

int ExecEngine(int argc, char** argv) {
  std::error_code error;
  std::string program =
      std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "inferq-engine";
  std::vector<char*> arguments(argv + 1, argv + argc);
  arguments.push_back(nullptr);
  ::execv(program.c_str(), arguments.data());
  std::fprintf(
      stderr,
      "inferq engine: cannot run %s: %s. It comes with the local engine; build or install it, "
      "or use --backend.\n",
      program.c_str(), std::strerror(errno));
  return kEngineUnusable;
}

void DescribeEngineCommand(CLI::App& root) {
  root.add_subcommand(
      "engine",
      "Run one model as a child of inferq (used by the others; see inferq engine --help)");
}

}  // namespace inferq::app
