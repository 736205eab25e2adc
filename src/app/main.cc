#include <signal.h>

#include <CLI/CLI.hpp>

#include "app/batch_command.h"
#include "app/bench_command.h"
#include "app/config_command.h"
#include "app/engine_command.h"
#include "app/exit_code.h"
#include "app/file_command.h"
#include "app/key_command.h"
#include "app/model_command.h"
#include "app/run_command.h"
#include "app/serve_command.h"
#include "app/store_command.h"
#include "app/version.h"

namespace {

constexpr const char* kFooter = R"(
Start here:
  inferq run prompts.jsonl -o results.jsonl --model model.gguf
  inferq batch submit prompts.jsonl --server http://127.0.0.1:8080/v1 --wait -o results.jsonl
  inferq run --help
Every command explains itself with --help.)";

}  // namespace

int main(int argc, char** argv) {
  namespace app = inferq::app;
  // A closed pipe and a file that may not grow are errors of the write, not the end of the process.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  if (app::IsEngineCommand(argc, argv)) return app::ExecEngine(argc, argv);
  CLI::App root("inferq runs large batches of LLM work to completion, without losing any of it.",
                "inferq");
  root.set_version_flag("--version", std::string("inferq ") + app::kVersion);
  root.require_subcommand(1);
  root.footer(kFooter);
  app::RunCommand run(root);
  app::ServeCommand serve(root);
  app::BatchCommand batch(root);
  app::FileCommand file(root);
  app::KeyCommand key(root);
  app::ConfigCommand config(root);
  app::BenchCommand bench(root);
  app::StoreCommand store(root);
  app::ModelCommand model(root);
  app::DescribeEngineCommand(root);
  try {
    root.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    bool asked = error.get_exit_code() == 0;  // --help, --version
    root.exit(error);
    return asked ? app::kOk : app::kUsage;
  }
  if (serve.chosen()) return serve.Execute();
  if (batch.chosen()) return batch.Execute();
  if (file.chosen()) return file.Execute();
  if (key.chosen()) return key.Execute();
  if (config.chosen()) return config.Execute();
  if (bench.chosen()) return bench.Execute();
  if (store.chosen()) return store.Execute();
  if (model.chosen()) return model.Execute();
  return run.Execute();
}
