"""200 damaged models: `inferq run` never crashes, says which model is at fault, and leaves nothing running.

Environment: CORRUPT_SEED (first seed, default 1), CORRUPT_COUNT (default 200), CORRUPT_KEEP (a folder: the damaged
files are left there), CORRUPT_VERBOSE (what bare libllama says to each).
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import unittest

from corrupt_gguf import mutate, read_fields
from harness import BIN, INFERQ, MAKE_GGUF, Case, batch_file, wait_for

FIRST = int(os.environ.get("CORRUPT_SEED", "1"))
COUNT = int(os.environ.get("CORRUPT_COUNT", "200"))
LOAD_GGUF = BIN / "inferq-load-gguf"
LINES = 2
TIMEOUT = 120  # seconds; one file takes well below one on an idle machine
MEMORY = 8 << 30  # of address space: a wrong size must not take the machine down

# docs/run.md: the model may work after all, some lines may fail, or it cannot be used.
ALLOWED_EXITS = {0, 1, 3}


def limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_group(command, cwd):
    """Runs a command in a process group of its own.

    @return (exit code or None after the limit, stderr, processes left running)
    """
    process = subprocess.Popen(list(map(str, command)), cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, start_new_session=True, preexec_fn=limit_memory)
    try:
        _, errors = process.communicate(timeout=TIMEOUT)
        code = process.returncode
        wait_for(lambda: not living_members(process.pid), timeout=10)
        left = living_members(process.pid)
    except subprocess.TimeoutExpired:
        code, left = None, []
    if code is None or left:
        os.killpg(process.pid, signal.SIGKILL)
    if code is None:
        _, errors = process.communicate()
    return code, errors.decode(errors="replace"), left


def living_members(pgid):
    """Ids of the processes of a group; one that has ended but was not waited for does not count."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue  # ended meanwhile
        if int(group) == pgid and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def outcome(code):
    if code is None:
        return "over the time limit"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


class CorruptModels(Case):
    @classmethod
    def setUpClass(cls):
        cls.workers = concurrent.futures.ThreadPoolExecutor(max(1, (os.cpu_count() or 2) // 2))

    @classmethod
    def tearDownClass(cls):
        cls.workers.shutdown()

    def setUp(self):
        super().setUp()
        subprocess.run([MAKE_GGUF, "--preset", "tiny", "--arch", "glm4", "--seed", "1", "--out", self.path("good.gguf")],
                       check=True, stdout=subprocess.DEVNULL)
        self.good = self.path("good.gguf").read_bytes()
        self.write("lines.jsonl", batch_file(LINES, max_tokens=4))

    def for_each_mutation(self, check):
        """Calls check(folder, model, what) for every seed. @return its results, in order of seeds."""
        def one(seed):
            damaged, what = mutate(self.good, seed)
            folder = self.path(f"seed-{seed}")
            folder.mkdir()
            model = folder / f"damaged-{seed}.gguf"
            model.write_bytes(damaged)
            result = check(folder, model, f"seed {seed}: {what}")
            if keep := os.environ.get("CORRUPT_KEEP"):
                pathlib.Path(keep).mkdir(parents=True, exist_ok=True)
                shutil.copy(model, keep)
            shutil.rmtree(folder)
            return result

        return list(self.workers.map(one, range(FIRST, FIRST + COUNT)))

    def run_job(self, folder, model):
        return run_group([INFERQ, "run", self.path("lines.jsonl"), "-o", "out.jsonl", "--model", model, "--quiet",
                          "--concurrency", 2, "--context", 256, "--threads", 1, "--temperature", 0,
                          "--give-up-after", 10], folder)

    def problem(self, folder, model, what):
        """What is wrong with how inferq took this file, or None."""
        code, errors, left = self.run_job(folder, model)
        if left:
            return f"{what}: {outcome(code)}, but processes {left} went on"
        if code not in ALLOWED_EXITS:
            return f"{what}: {outcome(code)}\n{errors}"
        if code == 3 and not any(model.name in line for line in errors.splitlines()):
            return f"{what}: exit code 3, and no line names {model.name}:\n{errors}"
        if code in (0, 1) and (lost := self.lost_lines(folder)):
            return f"{what}: {outcome(code)}, but {lost}\n{errors}"
        return None

    def lost_lines(self, folder):
        """Every line ends in exactly one of the two files."""
        found = []
        for name in ("out.jsonl", "out.errors.jsonl"):
            if (folder / name).exists():
                found += [json.loads(line)["custom_id"] for line in (folder / name).read_text().splitlines()]
        expected = [f"id-{i}" for i in range(LINES)]
        return None if sorted(found) == expected else f"the results hold {sorted(found)} of {expected}"

    @unittest.skipUnless(INFERQ.exists(), "built without inferq")
    def test_the_good_model_works(self):
        code, errors, _ = self.run_job(self.dir, self.path("good.gguf"))
        self.assertEqual(code, 0, errors)
        self.assertIsNone(self.lost_lines(self.dir))

    @unittest.skipUnless(INFERQ.exists(), "built without inferq")
    def test_no_damage_crashes_inferq(self):
        problems = [p for p in self.for_each_mutation(self.problem) if p]
        if problems:
            self.fail(f"{len(problems)} of {COUNT} files, the first:\n" + "\n".join(problems[:20]))

    def test_the_damage_is_real(self):
        """Bare libllama refuses most of these files; a mutation that nobody notices would prove nothing."""
        def load(folder, model, what):
            code, _, _ = run_group([LOAD_GGUF, model], folder)
            return outcome(code), what

        results = self.for_each_mutation(load)
        counts = collections.Counter(result for result, _ in results)
        print(f"bare libllama on {COUNT} damaged files:", dict(counts), flush=True)
        if os.environ.get("CORRUPT_VERBOSE"):
            print("\n".join(f"  {result}: {what}" for result, what in results if result != "exit code 1"), flush=True)
        self.assertLess(counts["exit code 0"], COUNT / 2)

    def test_the_reader_sees_the_whole_header(self):
        fields = read_fields(self.good)
        self.assertEqual(self.good[:4], b"GGUF")
        tensors = int.from_bytes(self.good[8:16], "little")
        self.assertEqual(sum(f.what.startswith("offset of ") for f in fields), tensors)
        self.assertEqual(mutate(self.good, 3), mutate(self.good, 3))


if __name__ == "__main__":
    unittest.main()
