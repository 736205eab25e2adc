#!/usr/bin/env python3
"""Shows that each rule of check_layers.py fires on a tree that breaks it, and only there."""

import pathlib
import tempfile
import unittest

import check_layers

GOOD = {
    "base/CMakeLists.txt": "inferq_module(base LAYER 0 SOURCES a.cc)",
    "base/a.h": "#pragma once\n",
    "model/CMakeLists.txt": "inferq_module(model LAYER 1 DEPS base\n  SOURCES m.cc)",
    "model/m.h": '#include "base/a.h"\n',
    "runtime/CMakeLists.txt": "inferq_module(runtime LAYER 1 ASIO DEPS base SOURCES r.cc TEST_DEPS testing)",
    "runtime/r.h": '#include <vector>\n#include "base/a.h"\n',
    "runtime/r_test.cc": '#include "runtime/r.h"\n#include "testing/t.h"\n',
    "queue/CMakeLists.txt": "# the queue\ninferq_module(queue LAYER 3\n  DEPS model # words\n  runtime)",
    "queue/local/q.cc": '#include "queue/local/q.h"\n#include "base/a.h"\n#include "runtime/r.h"\n',
    "queue/local/q.h": "",
    "testing/CMakeLists.txt": "inferq_module(testing LAYER 9 DEPS queue)",
    "testing/t.h": '#include "queue/local/q.h"\n',
}


class CheckLayersTest(unittest.TestCase):
    def problems(self, **changes):
        """Violations of the good tree after `changes` (file name with __ for / and _DOT_ for the last dot)."""
        files = dict(GOOD)
        for name, text in changes.items():
            files[name.replace("__", "/").replace("_DOT_", ".")] = text
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                path = root / "src" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return check_layers.check(root)

    def expect_one(self, fragment, **changes):
        problems = self.problems(**changes)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(fragment, problems[0])

    def test_a_good_tree_passes(self):
        self.assertEqual(self.problems(), [])

    def test_upward_include(self):
        self.expect_one("src/base/a.h:2: \"model/m.h\": base (layer 0) may not include model (layer 1)",
                        base__a_DOT_h='#pragma once\n#include "model/m.h"\n')

    def test_sideways_include(self):
        self.expect_one("model (layer 1) may not include runtime (layer 1)",
                        model__x_DOT_cc='#include "runtime/r.h"\n')

    def test_include_of_a_module_that_is_not_a_dependency(self):
        self.expect_one("add model to the DEPS of queue",
                        queue__CMakeLists_DOT_txt="inferq_module(queue LAYER 3 DEPS runtime)",
                        queue__x_DOT_cc='#include "model/m.h"\n')

    def test_testing_is_for_tests(self):
        self.expect_one("testing is for tests only", queue__x_DOT_cc='#include "testing/t.h"\n')

    def test_a_modules_own_testing_folder_is_test_code(self):
        self.assertEqual([], self.problems(
            queue__CMakeLists_DOT_txt="inferq_module(queue LAYER 3 DEPS runtime model TEST_DEPS testing)",
            queue__testing__fakes_DOT_h='#include "testing/t.h"\n'))

    def test_a_test_names_its_dependencies(self):
        self.expect_one("add queue to the TEST_DEPS of runtime",
                        runtime__CMakeLists_DOT_txt="inferq_module(runtime LAYER 1 DEPS base TEST_DEPS model)",
                        runtime__r_test_DOT_cc='#include "queue/local/q.h"\n')

    def test_include_without_folder(self):
        self.expect_one("not a path from src/", queue__local__x_DOT_cc='#include "q.h"\n')

    def test_module_without_layer(self):
        self.expect_one("has no LAYER", blob__CMakeLists_DOT_txt="inferq_module(blob DEPS base)")

    def test_two_modules_in_one_folder(self):
        self.expect_one("share a folder",
                        base__CMakeLists_DOT_txt="inferq_module(base LAYER 0)\ninferq_module(other LAYER 0)")

    def test_a_nested_module_is_its_own(self):
        self.expect_one("ingest (layer 2) may not include queue (layer 3)",
                        service__ingest__CMakeLists_DOT_txt="inferq_module(ingest LAYER 2 DEPS base)",
                        service__ingest__i_DOT_cc='#include "queue/local/q.h"\n')

    def test_an_empty_tree_is_not_a_pass(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "src").mkdir()
            self.assertIn("no inferq_module() found", check_layers.check(pathlib.Path(folder))[0])


if __name__ == "__main__":
    unittest.main()
