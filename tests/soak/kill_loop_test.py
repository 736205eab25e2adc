"""A short kill loop on the real binary, and the proof that its checker would have seen a fault in this very history."""

import argparse
import copy
import os
import pathlib
import tempfile
import unittest

from kill_loop import Loop
from kill_loop_check import Check

SECONDS = float(os.environ.get("INFERQ_SOAK_SECONDS", "15"))


class KillLoop(unittest.TestCase):
    def run_loop(self, directory):
        options = argparse.Namespace(minutes=SECONDS / 60, workers=6, rate=100, drain_seconds=120, seed=1)
        loop = Loop(options, pathlib.Path(directory))
        try:
            return loop.run()
        finally:
            loop.close()

    def violations(self, history):
        return Check(history).run()

    def test_nothing_is_lost_or_done_twice(self):
        with tempfile.TemporaryDirectory(prefix="inferq_soak_") as directory:
            history, figures = self.run_loop(directory)
        check = Check(history)
        self.assertEqual(check.run(), {"lost": [], "double": [], "other": []})
        counts = check.counts()
        for what in ("kills of the server", "kills of workers", "stops of workers"):
            self.assertGreater(figures[what], 0, what)
        for what in ("succeeded", "with keys", "with parents", "re-executions", "batch lines"):
            self.assertGreater(counts[what], 0, what)
        self.assert_faults_are_seen(history)

    def assert_faults_are_seen(self, history):
        done = next(ack["id"] for ack in history["acks"]
                    if not ack["model"] and history["tasks"][ack["id"]]["status"] == "succeeded")
        forgotten = copy.deepcopy(history)
        forgotten["tasks"][done] = None
        self.assertEqual(len(self.violations(forgotten)["lost"]), 1)
        altered = copy.deepcopy(history)
        altered["tasks"][done]["result"] += "0"
        self.assertEqual(len(self.violations(altered)["other"]), 1)
        doubled = copy.deepcopy(history)
        batch = next(batch for batch in doubled["batches"] if batch["found"])
        batch["found"].append(batch["found"][0])
        self.assertEqual(len(self.violations(doubled)["double"]), 1)


if __name__ == "__main__":
    unittest.main()
