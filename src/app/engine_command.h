#pragma once

namespace CLI {  // NOLINT(readability-identifier-naming): the library's own
class App;
}

namespace inferq::app {

/// `inferq engine ...` is an executable of its own, `inferq-engine` beside this one, so that an
/// installation that only talks to servers needs no llama.cpp. Its options and help are its own.
bool IsEngineCommand(int argc, char** argv);
/// Replaces this process. @return an ExitCode when that fails.
int ExecEngine(int argc, char** argv);
/// Lists it in --help.
void DescribeEngineCommand(CLI::App& root);

}  // namespace inferq::app
