"""kill -9 at random moments: every custom_id exactly once in the end."""

import os
import random
import signal
import subprocess
import unittest

from harness import MAKE_GGUF, Case, batch_file, children_of, wait_for

SEED = int(os.environ.get("INFERQ_KILL_SEED", "1"))


class KillLoop(Case):
    def kill_loop(self, arguments, kills, longest, victim, rng):
        """Starts the command `kills` times, kills victim(pid) at a random moment; then lets it finish."""
        struck = 0
        for _ in range(kills):
            process = self.start_inferq(*arguments)
            try:
                process.wait(timeout=rng.uniform(0.02, longest))
            except subprocess.TimeoutExpired:
                struck += victim(process, rng)
            process.communicate()
        return struck

    def test_5000_lines_on_the_fake_engine(self):
        rng = random.Random(SEED)
        self.write("in.jsonl", batch_file(5000, max_tokens=4))
        arguments = ("run", "in.jsonl", "-o", "out.jsonl", "--engine", "fake", "--ttft", "10ms", "--itl", "2ms",
                     "--fail-rate", "0.01", "--max-attempts", 10, "--concurrency", 32)

        def kill_parent(process, _):
            os.killpg(process.pid, signal.SIGKILL)
            return 1

        struck = self.kill_loop(arguments, 10, 1.0, kill_parent, rng)
        self.assertGreaterEqual(struck, 5, "the runs ended before they could be killed")
        done = self.run_inferq(*arguments, timeout=240)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        self.assert_each_once([f"id-{i}" for i in range(5000)], "out.jsonl", "out.errors.jsonl")

    @unittest.skipUnless(MAKE_GGUF.exists(), "built without the local engine")
    def test_200_lines_on_a_real_model(self):
        rng = random.Random(SEED)
        model = self.path("tiny.gguf")
        subprocess.run([MAKE_GGUF, "--preset", "tiny", "--arch", "glm4", "--seed", "1", "--out", model], check=True,
                       capture_output=True)
        self.write("in.jsonl", batch_file(200, max_tokens=400, temperature=0, ignore_eos=True))
        arguments = ("run", "in.jsonl", "-o", "out.jsonl", "--model", model, "--concurrency", 8, "--threads", 1)

        def kill_parent_or_child(process, rng):
            if rng.random() < 0.5:
                os.killpg(process.pid, signal.SIGKILL)
                return 1
            children = children_of(process.pid)
            for child in children:
                try:
                    os.kill(child, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            try:  # the run goes on with a new child; stop it later, wherever it is then
                process.wait(timeout=rng.uniform(0.2, 0.8))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            return len(children)

        struck = self.kill_loop(arguments, 10, 0.8, kill_parent_or_child, rng)
        self.assertGreaterEqual(struck, 5, "the runs ended before they could be killed")
        done = self.run_inferq(*arguments, timeout=240)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        self.assert_each_once([f"id-{i}" for i in range(200)], "out.jsonl", "out.errors.jsonl")

    @unittest.skipUnless(MAKE_GGUF.exists(), "built without the local engine")
    def test_a_run_outlives_its_engine_child(self):
        model = self.path("tiny.gguf")
        subprocess.run([MAKE_GGUF, "--preset", "tiny", "--arch", "llama", "--seed", "2", "--out", model], check=True,
                       capture_output=True)
        self.write("in.jsonl", batch_file(100, max_tokens=200, temperature=0, ignore_eos=True))
        process = self.start_inferq("run", "in.jsonl", "-o", "out.jsonl", "--model", model, "--threads", 1)
        for _ in range(3):
            self.assertTrue(wait_for(lambda: children_of(process.pid) or process.poll() is not None))
            for child in children_of(process.pid):
                os.kill(child, signal.SIGKILL)
            wait_for(lambda: False, timeout=0.3)
        _, stderr = process.communicate(timeout=240)
        self.assertIn(process.returncode, (0, 1), stderr)
        self.assert_each_once([f"id-{i}" for i in range(100)], "out.jsonl", "out.errors.jsonl")


if __name__ == "__main__":
    unittest.main()
