#!/usr/bin/env python3
"""Checks that includes under src/ point down (STYLE: a module is a folder, a namespace and a link target).

    tools/check_layers.py [ROOT]     exit code 1 and one line per violation

The layers and dependencies are those of the inferq_module() calls in the CMake files. A file belongs to the
module of the nearest folder above it that declares one.
"""

import pathlib
import re
import sys

MODULE = re.compile(r"^\s*inferq_module\(\s*(\w+)([^)]*)\)", re.MULTILINE)
KEYWORDS = {"ASIO", "LAYER", "SOURCES", "TESTS", "BENCHMARKS", "DEPS", "LIBS", "TEST_DEPS"}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
TESTING = "testing"  # helpers for tests; product code must not see them


class Module:
    def __init__(self, name, folder, arguments):
        self.name = name
        self.folder = folder
        self.layer = int(arguments.get("LAYER", ["-1"])[0])
        self.deps = arguments.get("DEPS", [])
        self.test_deps = arguments.get("TEST_DEPS", [])


def parse_arguments(text):
    """The words of a call, by the keyword in front of them."""
    words = re.sub(r"#[^\n]*", "", text).split()
    arguments, current = {}, None
    for word in words:
        if word in KEYWORDS:
            current = word
            arguments[current] = []
        elif current is not None:
            arguments[current].append(word.strip('"'))
    return arguments


def read_modules(src):
    """@return modules by folder, and what is wrong with the declarations."""
    by_folder, problems = {}, []
    for cmake in sorted(src.rglob("CMakeLists.txt")):
        folder = cmake.parent.relative_to(src)
        for match in MODULE.finditer(cmake.read_text(encoding="utf-8")):
            module = Module(match.group(1), folder, parse_arguments(match.group(2)))
            if module.layer < 0:
                problems.append(f"{cmake}: module {module.name} has no LAYER")
            if folder in by_folder:
                problems.append(f"{cmake}: modules {by_folder[folder].name} and {module.name} share a folder; "
                                "give each its own")
            by_folder.setdefault(folder, module)
    return by_folder, problems


def module_of(path, by_folder):
    """The module of a path relative to src/, None when no folder above declares one."""
    for folder in path.parents:
        if folder in by_folder:
            return by_folder[folder]
    return None


def reachable(names, by_name):
    """The named modules and everything below them."""
    seen, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(by_name[name].deps if name in by_name else [])
    return seen


def is_test_code(path):
    return path.stem.endswith(("_test", "_benchmark")) or not {TESTING, "conformance"}.isdisjoint(path.parts)


def check_include(path, target, src, by_folder, by_name):
    """@return what is wrong with `#include "target"` in `path`, None when nothing is."""
    if "/" not in target:
        return f'"{target}" is not a path from src/; write "{path.parent.as_posix()}/{target}"'
    if not (src / target).is_file():
        return None  # a generated or third-party header; the compiler finds it or fails
    own, other = module_of(path, by_folder), module_of(pathlib.PurePosixPath(target), by_folder)
    if own is None or other is None or own is other:
        return None
    if is_test_code(path):
        return None if own.name == TESTING else check_test_include(own, other, target, by_name)
    if other.name == TESTING:
        return f'"{target}": {TESTING} is for tests only'
    if other.layer >= own.layer:
        return (f'"{target}": {own.name} (layer {own.layer}) may not include {other.name} (layer {other.layer}); '
                "what both need moves to a lower layer")
    if other.name not in reachable(own.deps, by_name):
        return f'"{target}": add {other.name} to the DEPS of {own.name}'
    return None


def check_test_include(own, other, target, by_name):
    if other.name in reachable(own.deps + own.test_deps, by_name):
        return None
    return f'"{target}": add {other.name} to the TEST_DEPS of {own.name}'


def check(root):
    """@return one line per violation under root/src."""
    src = root / "src"
    by_folder, problems = read_modules(src)
    by_name = {module.name: module for module in by_folder.values()}
    for file in sorted([*src.rglob("*.h"), *src.rglob("*.cc")]):
        path = pathlib.PurePosixPath(file.relative_to(src).as_posix())
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            problem = match and check_include(path, match.group(1), src, by_folder, by_name)
            if problem:
                problems.append(f"src/{path}:{number}: {problem}")
    if not by_folder:
        problems.append(f"{src}: no inferq_module() found; is this the root of the tree?")
    return problems


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    problems = check(root)
    for problem in problems:
        print(problem)
    print(f"check_layers: {len(problems)} violation(s)" if problems else "check_layers: includes point down")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
