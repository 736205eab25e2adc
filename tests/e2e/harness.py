"""Runs the real binary the way a user does.

INFERQ_BIN names the folder of the binaries (ctest sets it).
"""

import json
import os
import pathlib
import resource
import signal
import subprocess
import tempfile
import time
import unittest

BIN = pathlib.Path(os.environ.get("INFERQ_BIN", "build/release/bin")).resolve()
INFERQ = BIN / "inferq"
MAKE_GGUF = BIN / "inferq-make-gguf"


class Case(unittest.TestCase):
    """A test with a folder of its own, `self.dir`, as working directory of what it runs."""

    def setUp(self):
        self._temporary = tempfile.TemporaryDirectory(prefix="inferq_e2e_")
        self.dir = pathlib.Path(self._temporary.name)
        self.addCleanup(self._temporary.cleanup)

    def path(self, name):
        return self.dir / name

    def write(self, name, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.path(name).write_bytes(data)
        return name

    def run_inferq(self, *arguments, stdin=b"", env=None, timeout=120, file_limit=None):
        """Runs `inferq ARGUMENTS` to its end. No file may grow beyond `file_limit` bytes."""
        def limit():
            if file_limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

        return subprocess.run(
            [INFERQ, *map(str, arguments)], cwd=self.dir, input=stdin, capture_output=True,
            timeout=timeout, env={**os.environ, **(env or {})}, check=False, preexec_fn=limit)

    def start_inferq(self, *arguments):
        """Starts `inferq ARGUMENTS` in a process group of its own."""
        process = subprocess.Popen(
            [INFERQ, *map(str, arguments)], cwd=self.dir, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.addCleanup(kill, process)
        return process

    def assert_exit(self, done, code):
        self.assertEqual(done.returncode, code, f"stderr: {done.stderr.decode(errors='replace')}")

    def lines(self, name):
        """The JSON lines of a file; [] when there is none. A torn line fails the test."""
        if not self.path(name).exists():
            return []
        text = self.path(name).read_text(encoding="utf-8")
        self.assertTrue(text == "" or text.endswith("\n"), f"{name} ends in a torn line")
        return [json.loads(line) for line in text.splitlines()]

    def assert_each_once(self, expected, *names):
        """Every expected custom_id stands exactly once over the named files together."""
        found = [line["custom_id"] for name in names for line in self.lines(name)]
        self.assertEqual(len(found), len(set(found)), "a custom_id stands twice")
        self.assertEqual(set(found), set(expected))


def kill(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def batch_line(custom_id, content, **body):
    request = {"model": "m", "messages": [{"role": "user", "content": content}], **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions",
                       "body": request}, ensure_ascii=False)


def batch_file(count, **body):
    return "".join(batch_line(f"id-{i}", f"question {i}", **body) + "\n" for i in range(count))


def children_of(pid):
    """Process ids of the direct children."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            pass
    return found


def wait_for(condition, timeout=60):
    """Polls until the condition holds; false after the timeout."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False
