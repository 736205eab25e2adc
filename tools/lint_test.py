#!/usr/bin/env python3
"""Shows that each rule of lint.py fires on a file that breaks it, and not where the rule does not hold."""

import pathlib
import tempfile
import unittest

import lint

# Rule, a path where it must fire, code that breaks it, and a path (or None) where the same code is allowed.
BROKEN = [
    ("mutex", "src/queue/a.cc", "std::mutex m;", "src/base/a.cc"),
    ("mutex", "src/queue/b.cc", "std::unique_lock lock(m);", None),
    ("clock", "src/sched/a.cc", "auto t = std::chrono::steady_clock::now();", "src/base/clock.cc"),
    ("clock", "src/sched/b.cc", "auto t = time(nullptr);", None),
    ("thread", "src/service/a.cc", "std::thread t(Run);", "src/service/a_test.cc"),
    ("thread", "src/service/b.cc", "t.detach();", None),
    ("random", "src/queue/c.cc", "std::random_device d;", "src/base/rng.cc"),
    ("random", "src/queue/d_test.cc", "int x = rand();", None),
    ("file", "src/queue/e.cc", "int fd = ::open(path, O_RDONLY);", "src/base/posix_x.cc"),
    ("file", "src/queue/f.cc", "std::ofstream out(path);", "src/app/f.cc"),
    ("sleep", "tests/e2e/a_test.cc", "std::this_thread::sleep_for(1s);", None),
    ("sleep", "src/queue/s.cc", "usleep(5);", None),
    ("using-std", "src/queue/g.cc", "using namespace std;", None),
    ("coroutine-lambda", "src/queue/h.cc", "auto f = [this, x](int y) -> runtime::Awaitable<void> { co_return; };", None),
    ("owner", "src/queue/i.cc", "#include <boost/asio/post.hpp>", "src/runtime/i.cc"),
    ("owner", "src/service/i.cc", "#include <simdjson.h>", "src/wire/i.cc"),
    ("owner", "src/service/j.cc", "#include <sqlite3.h>", "src/sqlite/j.cc"),
    ("owner", "src/service/k.cc", '#include "llama.h"', "src/engine/llama/k.cc"),
    ("owner", "src/service/l.cc", "#include <gtest/gtest.h>", "src/service/l_test.cc"),
    ("owner", "src/service/m.cc", "#include <CLI/CLI.hpp>", "src/app/m.cc"),
    ("columns", "src/queue/n.cc", "int " + "x" * 100 + ";", None),
    ("pragma-once", "src/queue/o.h", "int x;", "src/queue/o.cc"),
    ("todo", "src/queue/p.cc", "// TODO", None),
    ("todo", "src/queue/q.cc", "// FIXME(me)", None),
    ("tab", "src/queue/r.cc", "\tint x;", None),
    ("trailing-space", "docs/a.md", "words ", None),
]
GOOD = [
    ("src/queue/a.cc", "// std::mutex in a comment, \"std::thread\" too\nconst char* s = \"std::mutex\";"),
    ("src/queue/b.cc", "/* std::thread\n   std::mutex */ int separated = 1'000'000; char c = '\"';"),
    ("src/queue/c.cc", 'auto s = R"(std::random_device)"; unsigned n = std::thread::hardware_concurrency();'),
    ("src/queue/d.cc", "using namespace std::chrono_literals;"),
    ("src/queue/e.cc", "auto f = [](int x) -> Awaitable<void> { co_return; };"),
    ("src/queue/f.cc", "auto r = fs.Open(path); bool o = socket_.open(); Runtime::SleepFor(1s);"),
    ("src/queue/g.cc", "// TODO(journal): checkpoint while idle\n"),
    ("src/queue/h.cc", "std::thread t(Run);  // lint: allow(thread) joined below, made by the library\n"),
    ("src/queue/i.h", "// words first\n#pragma once"),
    ("src/queue/j.cc", "// clang-format off\n// " + "─" * 110 + "\n// clang-format on"),
    ("tools/x.cc", "#include <fstream>\nstd::thread t(Run);"),
]


class LintTest(unittest.TestCase):
    def problems(self, path, text, **more):
        """Violations of a tree with one module, one C++ file at `path`, built unless `more` says otherwise."""
        files = {"src/queue/CMakeLists.txt": "inferq_module(queue LAYER 3)\n", "src/queue/README.md": "# queue\n",
                 path: text if text.endswith("\n") else text + "\n", "CMakeLists.txt": f"add_executable(x {path})\n"}
        files.update({name.replace("__", "/").replace("_DOT_", "."): text for name, text in more.items()})
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                if text is not None:
                    target = pathlib.Path(folder) / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(text if isinstance(text, bytes) else text.encode())
            return lint.check(pathlib.Path(folder))

    def expect_one(self, rule, problems):
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(f"[{rule}]", problems[0])

    def test_each_rule_fires(self):
        for rule, path, code, _ in BROKEN:
            with self.subTest(rule=rule, code=code):
                problems = self.problems(path, code)
                self.expect_one(rule, problems)
                self.assertTrue(problems[0].startswith(f"{path}:1: "), problems)

    def test_the_same_code_is_fine_where_it_is_allowed(self):
        for rule, _, code, path in BROKEN:
            if path is not None:
                with self.subTest(rule=rule, path=path):
                    self.assertEqual(self.problems(path, code), [])

    def test_look_alikes_pass(self):
        for path, code in GOOD:
            with self.subTest(code=code):
                self.assertEqual(self.problems(path, code), [])

    def test_every_ban_and_owner_has_a_broken_example(self):
        self.assertLessEqual({ban.name for ban in lint.BANS} | {"owner"}, {rule for rule, *_ in BROKEN})

    def test_an_exception_needs_a_reason_and_the_right_rule(self):
        self.expect_one("thread", self.problems("src/queue/a.cc", "std::thread t(R);  // lint: allow(thread)"))
        self.expect_one("thread", self.problems("src/queue/a.cc", "std::thread t(R);  // lint: allow(mutex) because"))

    def test_line_numbers_survive_comments(self):
        problems = self.problems("src/queue/a.cc", "/* one\n two */\n// three\nstd::mutex m;\n")
        self.assertTrue(problems[0].startswith("src/queue/a.cc:4: "), problems)

    def test_a_source_that_nothing_builds(self):
        self.expect_one("not-built", self.problems("src/queue/a_test.cc", "int x;", CMakeLists_DOT_txt="project(x)\n"))

    def test_a_source_named_in_its_own_folder_or_above_is_built(self):
        self.assertEqual(self.problems("src/queue/local/a_test.cc", "int x;", CMakeLists_DOT_txt=None,
                                       src__queue__CMakeLists_DOT_txt="inferq_module(queue TESTS local/a_test.cc)\n"), [])

    def test_a_module_without_readme(self):
        self.expect_one("module-readme", self.problems("src/queue/a.cc", "int x;", src__queue__README_DOT_md=None))

    def test_a_file_that_is_not_utf8(self):
        self.expect_one("utf-8", self.problems("src/queue/a.cc", "int x;", docs__a_DOT_md=b"\xff\xfe"))

    def test_a_file_without_final_newline(self):
        self.expect_one("final-newline", self.problems("src/queue/a.cc", "int x;", docs__a_DOT_md=b"words"))


if __name__ == "__main__":
    unittest.main()
