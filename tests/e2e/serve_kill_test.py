"""`kill -9` of the server, and of the engine's child, in the middle of a batch: each line exactly once."""

import os
import random
import signal
import subprocess
import time
import unittest

from harness import INFERQ, batch_file, children_of, wait_for
from serve_harness import FAKE, ServeCase

LINES = int(os.environ.get("INFERQ_KILL_LINES", "2000"))
KILLS = int(os.environ.get("INFERQ_KILLS", "20"))


class Kill(ServeCase):
    def check(self, server, batch_id, struck):
        self.assertGreaterEqual(struck, KILLS // 2, "the batch ended before it could be disturbed")
        done = server.await_batch(batch_id, timeout=300)
        self.assertEqual(done["status"], "completed")
        found = [line["custom_id"] for line in server.results(done)]
        self.assertEqual(len(found), len(set(found)), "a line stands twice")
        self.assertEqual(set(found), {f"id-{i}" for i in range(LINES)})
        self.assertEqual(done["request_counts"]["total"], LINES)

    def test_the_server_is_killed(self):
        rng = random.Random(1)
        config = FAKE.replace('"5ms"', '"20ms"')
        server = self.start_server(config=config)
        batch_id = server.create_batch(server.upload(batch_file(LINES)).json()["id"]).json()["id"]
        struck = 0
        for _ in range(KILLS):
            time.sleep(rng.uniform(0, 0.3))
            struck += server.batch(batch_id)["status"] != "completed"
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()
            server = self.start_server(config=config)
        self.check(server, batch_id, struck)

    def test_the_engine_is_killed(self):
        rng = random.Random(2)
        (self.dir / "models").mkdir()
        subprocess.run([INFERQ.parent / "inferq-make-gguf", "--preset", "tiny", "--arch", "glm4", "--seed",
                        "1", "--out", self.dir / "models" / "m.gguf"], check=True)
        server = self.start_server()
        batch_id = server.create_batch(
            server.upload(batch_file(LINES, max_tokens=24, ignore_eos=True)).json()["id"]).json()["id"]
        struck = 0
        for _ in range(KILLS):
            self.assertTrue(wait_for(lambda: children_of(server.process.pid)))
            time.sleep(rng.uniform(0, 0.3))
            struck += server.batch(batch_id)["status"] != "completed"
            for child in children_of(server.process.pid):
                os.kill(child, signal.SIGKILL)
        self.check(server, batch_id, struck)


if __name__ == "__main__":
    unittest.main()
