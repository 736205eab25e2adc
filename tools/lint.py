#!/usr/bin/env python3
"""Bans with a replacement, and a few things that every file of the tree has.

    tools/lint.py [ROOT]     exit code 1 and one line per violation

A line that needs an exception says why:  `...; // lint: allow(thread) the library calls us on its own`
"""

import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass, field

CODE_ROOTS = ("src/", "include/", "tests/")  # where the seams hold; tools/ and bench/ may use the real things
TESTS = ("tests/", "/testing/", "/conformance/", "_test.cc")
SKIPPED_FOLDERS = {".git", "build", "out", "node_modules", "inferq-data", "models", "__pycache__"}
TEXT_SUFFIXES = {".h", ".cc", ".cmake", ".txt", ".py", ".sh", ".md", ".json", ".jsonl", ".csv", ".yaml", ".toml"}
MAX_COLUMNS = 100


@dataclass
class Ban:
    """Code that must not be written outside `allowed` (path prefixes, or parts when they begin with / or _)."""
    name: str
    pattern: str
    instead: str
    allowed: tuple = ()
    regex: re.Pattern = field(init=False)

    def __post_init__(self):
        self.regex = re.compile(self.pattern)


BANS = [
    Ban("mutex", r"std::(recursive_|shared_|timed_)*mutex\b|std::condition_variable"
                 r"|std::(lock_guard|unique_lock|scoped_lock|shared_lock)\b",
        "base::Mutex, MutexLock and CondVar (they carry thread-safety annotations)", ("src/base/",)),
    Ban("clock", r"(system_clock|steady_clock|high_resolution_clock)::now|\bclock_gettime\b|\bgettimeofday\b"
                 r"|\btime\((nullptr|NULL|0)\)",
        "base::Clock, so that simulation can move time", ("src/base/clock.cc", "src/runtime/", "_benchmark.cc")),
    Ban("thread", r"std::(jthread|thread)\b(?!::)|std::async\b|\bpthread_create\b|\.detach\(\)",
        "runtime::Runtime::RunBlocking or a Scope", ("src/runtime/", "src/engine/llama/", *TESTS)),
    Ban("random", r"std::(random_device|mt19937|minstd_rand|default_random_engine)|\b(s?rand|drand48)\(|\bgetrandom\(",
        "base::Rng, seeded so that a run can be repeated", ("src/base/rng.cc",)),
    Ban("file", r"(?<![\w>])::(open|openat|creat|rename|unlink)\s*\(|\bfopen\s*\(|std::(basic_)?[io]?fstream\b"
                r"|std::filesystem\b",
        "base::FileSystem, so that tests can fail and crash the disk",
        ("src/base/posix", "src/base/file_lock.cc", "src/app/", "src/runtime/", "src/engine/llama/", *TESTS)),
    Ban("sleep", r"\bsleep_(for|until)\b|\b(nano|u)?sleep\s*\(",
        "Runtime::SleepFor, or in tests wait for the event itself"),
    Ban("using-std", r"\busing\s+namespace\s+std\s*;", "names with std:: or single using declarations"),
    Ban("coroutine-lambda", r"\[[^\[\]]+\]\s*(\([^()]*\))?\s*(mutable\s*)?->\s*([\w:]*::)?Awaitable\b",
        "a lambda coroutine that captures nothing (captures die with the lambda): pass parameters"),
]

# Third-party headers and the folders that own them; everyone else sees our types.
OWNERS = [
    ("boost/asio", ("src/runtime/", "src/http/", "bench/bare_beast.cc", *TESTS)),
    ("boost/beast", ("src/http/", "bench/bare_beast.cc", *TESTS)),
    ("boost/url", ("src/http/", "src/api/")),
    ("boost/json", ("src/wire/",)),
    ("simdjson", ("src/wire/",)),
    ("sqlite3.h", ("src/sqlite/", "src/testing/", "tests/")),
    ("llama", ("src/engine/llama/", "tests/", "tools/gguf/", "bench/")),
    ("ggml", ("src/engine/llama/", "tests/", "tools/gguf/", "bench/")),
    ("gguf.h", ("src/engine/llama/", "tests/", "tools/gguf/", "bench/")),
    ("openssl/", ("src/http/", "src/blob/")),
    ("zlib.h", ("src/http/",)),
    ("zstd", ("src/http/",)),
    ("xxhash.h", ("src/wire/", "src/blob/", "src/queue/local/")),
    ("CLI/", ("src/app/", "src/engine/llama/engine_main.cc", "tools/", "bench/")),
    ("toml++/", ("src/config/",)),
    ("sodium.h", ("src/config/",)),
    ("spdlog/", ("src/obs/",)),
    ("prometheus/", ("src/obs/",)),
    ("benchmark/", ("_benchmark.cc", "bench/")),
    ("rapidcheck", TESTS),
    ("gtest/", (*TESTS, "tools/", "bench/")),
    ("gmock/", (*TESTS, "tools/", "bench/")),
]

INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]')
VAGUE_TODO = re.compile(r"\b(TODO|FIXME|XXX)\b(?!(\([^)]+\))?: *\w)")
ALLOW = re.compile(r"lint: allow\(([\w-]+)\) +\S")
TOKEN = re.compile(
    r'R"(?P<tag>[^()\s\\]{0,16})\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])*\''
    r"|//[^\n]*|/\*.*?\*/", re.DOTALL)


def is_allowed(path, allowed):
    return any(part in path if part[0] in "/_" else path.startswith(part) for part in allowed)


def code_only(text):
    """The text with comments and the insides of strings blanked, line for line. Includes stay readable."""
    def blank(match):
        token = match.group()
        quote = '"' if token[0] in '"R' else "'" if token[0] == "'" else ""
        return quote + re.sub(r"[^\n]", " ", token[len(quote):len(token) - len(quote)]) + quote
    return TOKEN.sub(blank, text)


def is_exempt(lines, number, rule):
    """Whether the line, or the one above it, carries an allow comment for `rule`."""
    for line in lines[max(0, number - 2):number]:
        match = ALLOW.search(line)
        if match and match.group(1) == rule:
            return True
    return False


def check_bans(path, lines, code):
    for number, line in enumerate(code.splitlines(), 1):
        for ban in BANS:
            if ban.regex.search(line) and not is_allowed(path, ban.allowed):
                if not is_exempt(lines, number, ban.name):
                    yield number, ban.name, f"use {ban.instead}"


def check_owners(path, lines):
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        for prefix, owners in OWNERS:
            if match.group(1).startswith(prefix) and not is_allowed(path, owners):
                if not is_exempt(lines, number, "owner"):
                    yield number, "owner", f"<{match.group(1)}> belongs to {', '.join(owners)}; use their types"


STRING = re.compile(r'R"\((?:.*?)\)"|"(?:[^"\\]|\\.)*"|^.*\)"|R"\(.*$')


def check_columns(lines):
    formatted = True  # clang-format cannot help inside its off/on regions: pictures stand there
    for number, line in enumerate(lines, 1):
        if "clang-format off" in line:
            formatted = False
        if "clang-format on" in line:
            formatted = True
        # clang-format does not cut a string: a line is too long only if it is without its strings.
        code = STRING.sub('""', line)
        if formatted and len(code) > MAX_COLUMNS and not INCLUDE.match(line) and "://" not in line:
            yield number, "columns", f"{len(line)} columns, the limit is {MAX_COLUMNS}; run make format"


def check_pragma_once(path, code):
    first = next((line.strip() for line in code.splitlines() if line.strip()), "")
    if path.endswith(".h") and first != "#pragma once":
        yield 1, "pragma-once", "a header begins with #pragma once"


def check_cpp(path, text):
    lines, code = text.splitlines(), code_only(text)
    if path.startswith(CODE_ROOTS):
        yield from check_bans(path, lines, code)
        yield from check_owners(path, lines)
    yield from check_columns(lines)
    yield from check_pragma_once(path, code)


def check_text(path, text):
    is_data = path.endswith((".csv", ".jsonl"))
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line and not is_data:
            yield number, "tab", "indent with spaces"
        if line != line.rstrip() and not is_data:
            yield number, "trailing-space", "remove the spaces at the end of the line"
        # The rule and its test spell the words out themselves.
        if VAGUE_TODO.search(line) and not path.startswith("tools/lint"):
            yield number, "todo", "say what is to be done, `TODO(topic): text`, or do it"
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "final-newline", "end the file with a newline"


def check_is_built(path, cmake_words):
    """Whether a CMake file in a folder above names the source. A test nobody builds is a test nobody runs."""
    pure = pathlib.PurePosixPath(path)
    for folder in pure.parents:
        words = cmake_words.get(folder.as_posix(), set())
        if pure.relative_to(folder).as_posix() in words:
            return
    yield 1, "not-built", "no CMakeLists.txt above names this file; list it or remove it"


def check_module_readmes(files, cmake_texts):
    for folder, text in cmake_texts.items():
        if re.search(r"^\s*inferq_module\(", text, re.MULTILINE) and f"{folder}/README.md" not in files:
            yield f"{folder}/README.md", 1, "module-readme", "a module says what it is for and must never do"


def list_files(root):
    """Paths of the tree that git does not ignore, or all of them where there is no git."""
    if (root / ".git").exists():
        command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
        return sorted(name for name in names if name and (root / name).is_file())
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if not SKIPPED_FOLDERS & set(path.parts))


def check(root):
    """@return one line per violation in the tree at `root`."""
    files = list_files(root)
    cmake_texts = {pathlib.PurePosixPath(f).parent.as_posix(): (root / f).read_text(encoding="utf-8")
                   for f in files if pathlib.PurePosixPath(f).name == "CMakeLists.txt"}
    cmake_words = {folder: set(re.split(r'[\s()"]+', text)) for folder, text in cmake_texts.items()}
    found = list(check_module_readmes(set(files), cmake_texts))
    for path in files:
        if pathlib.PurePosixPath(path).suffix not in TEXT_SUFFIXES or "/corpus/" in path:
            continue
        try:
            text = (root / path).read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            found.append((path, 1, "utf-8", f"the file is not UTF-8: {error}"))
            continue
        found += [(path, *problem) for problem in check_text(path, text)]
        if path.endswith((".h", ".cc")):
            found += [(path, *problem) for problem in check_cpp(path, text)]
        if path.endswith(".cc"):
            found += [(path, *problem) for problem in check_is_built(path, cmake_words)]
    return [f"{path}:{number}: [{rule}] {message}" for path, number, rule, message in found]


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    problems = check(root)
    for problem in problems:
        print(problem)
    print(f"lint: {len(problems)} violation(s)" if problems else "lint: clean")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
