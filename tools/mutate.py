#!/usr/bin/env python3
"""Mutation proofs: removes one guard at a time and expects the test that watches it to turn red.

    tools/mutate.py                 all of tests/mutations.toml; exit code 1 when one survives
    tools/mutate.py --only NAME...  those whose name contains one of these
    tools/mutate.py --list          what there is
    tools/mutate.py --check         only whether each entry still fits the code (fast, builds nothing)

A test that does not end within a minute is as good as a red one, and is shown as "timeout".

Changes one file of the working tree at a time and puts it back, also when interrupted; a run that was
killed is cleaned up by the next one. Do not build or edit meanwhile; a second run is refused.
"""

import argparse
import atexit
import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "mutations.toml"
TABLE = ROOT / "docs" / "reliability.md"  # has a row for each
BUILD = ROOT / "build" / "release"
BACKUP = ROOT / "build" / "mutate-backup.json"  # what to put back, while something is changed
LOCK = ROOT / "build" / "mutate-lock"  # held by a run
TIMEOUT_S = 60
SEEDS = "60"  # of simulations, unless INFERQ_SIM_SEEDS says otherwise


@dataclass
class Mutant:
    name: str
    promise: str  # which promise, invariant, test design or rule the guard keeps
    file: str
    old: str
    new: str
    test: str
    filter: str

    @property
    def path(self):
        return ROOT / self.file


def load():
    with LIST.open("rb") as file:
        return [Mutant(**entry) for entry in tomllib.load(file)["mutant"]]


def test_targets():
    """Names of the test executables that some CMakeLists.txt makes."""
    names = set()
    for path in [*ROOT.glob("src/**/CMakeLists.txt"), *ROOT.glob("tests/**/CMakeLists.txt")]:
        text = path.read_text()
        names.update(re.findall(r"inferq_test\((\w+)", text))
        names.update(f"{name}_test" for name in re.findall(r"inferq_module\((\w+)", text))
    return names


def check(mutants):
    """Sentences about entries that do not fit the code."""
    targets = test_targets()
    names = [mutant.name for mutant in mutants]
    table = TABLE.read_text()
    for mutant in mutants:
        if f"| {mutant.name} |" not in table:
            yield f"{mutant.name}: no row in {TABLE.relative_to(ROOT)}"
        if names.count(mutant.name) > 1:
            yield f"{mutant.name}: the name is taken twice"
        if mutant.old == mutant.new:
            yield f"{mutant.name}: changes nothing"
        if mutant.test not in targets:
            yield f"{mutant.name}: no target {mutant.test}"
        if not mutant.path.is_file():
            yield f"{mutant.name}: no file {mutant.file}"
            continue
        count = mutant.path.read_text().count(mutant.old)
        if count != 1:
            yield f"{mutant.name}: its text occurs {count} times in {mutant.file}, must be once; mend the entry"


def keep_others_out():
    """@return the lock; hold on to it."""
    lock = LOCK.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("another run is under way")
    return lock


def restore():
    if BACKUP.exists():
        saved = json.loads(BACKUP.read_text())
        pathlib.Path(saved["path"]).write_text(saved["text"])
        BACKUP.unlink()


def apply(mutant):
    text = mutant.path.read_text()
    BACKUP.write_text(json.dumps({"path": str(mutant.path), "text": text}))
    mutant.path.write_text(text.replace(mutant.old, mutant.new))


def build(targets):
    done = subprocess.run(["ninja", "-C", str(BUILD), *sorted(targets)], capture_output=True, text=True)
    return done.returncode == 0, done.stdout + done.stderr


def run_test(mutant):
    """@return "green", "red", "timeout" or "no test"."""
    command = [str(BUILD / "bin" / mutant.test), f"--gtest_filter={mutant.filter}", "--gtest_brief=1"]
    environment = {"INFERQ_SIM_SEEDS": SEEDS, **os.environ}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return "timeout"
    if done.returncode != 0:
        return "red"
    return "no test" if " 0 tests ran" in done.stdout else "green"


def try_mutant(mutant):
    """@return what came of it; "red" and "timeout" are what it takes."""
    apply(mutant)
    try:
        built, output = build([mutant.test])
        if not built:
            return "does not build: " + next((line for line in output.splitlines() if "error:" in line), "?")
        result = run_test(mutant)
        return "SURVIVED" if result == "green" else result
    finally:
        restore()


def run(mutants):
    built, output = build({mutant.test for mutant in mutants})
    if not built:
        sys.exit(output)
    greens = {}
    for mutant in mutants:
        key = (mutant.test, mutant.filter)
        if key not in greens:
            greens[key] = run_test(mutant)
        if greens[key] != "green":
            sys.exit(f"{mutant.name}: {mutant.test} --gtest_filter={mutant.filter} is {greens[key]} without the change")
    failed = 0
    for mutant in mutants:
        start = time.monotonic()
        result = try_mutant(mutant)
        failed += result not in ("red", "timeout")
        print(f"{result:9} {mutant.name:44} {mutant.promise:16} {time.monotonic() - start:5.1f} s", flush=True)
    build({mutant.test for mutant in mutants})
    print(f"{len(mutants) - failed} of {len(mutants)} mutants turn their tests red")
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME")
    arguments = parser.parse_args()
    mutants = [mutant for mutant in load() if any(part in mutant.name for part in arguments.only)]
    if arguments.list:
        for mutant in mutants:
            print(f"{mutant.name:44} {mutant.promise:16} {mutant.file:36} {mutant.test} {mutant.filter}")
        return 0
    lock = None if arguments.check else keep_others_out()
    if lock:
        restore()
    problems = list(check(mutants))
    print("\n".join(problems), end="\n" if problems else "")
    if arguments.check or problems or not mutants:
        return 1 if problems or not mutants else 0
    atexit.register(restore)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(130))
    return 1 if run(mutants) else 0


if __name__ == "__main__":
    sys.exit(main())
