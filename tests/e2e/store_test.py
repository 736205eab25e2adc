"""`inferq store` beside a server that works."""

import json
import pathlib
import signal
import subprocess
import unittest

from harness import INFERQ
from serve_harness import FAKE, ServeCase

LINES = 3000


def request_line(i):
    return json.dumps({
        "custom_id": f"line-{i}", "method": "POST", "url": "/v1/chat/completions",
        "body": {"model": "m", "max_tokens": 2, "messages": [{"role": "user", "content": f"say {i}"}]}})


class StoreTest(ServeCase):
    def store(self, *arguments, code=0, **more):
        done = subprocess.run([INFERQ, "store", *map(str, arguments)], cwd=self.dir, capture_output=True,
                              text=True, timeout=120, **more)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def submit(self, server, lines=LINES):
        upload = server.upload("\n".join(map(request_line, range(lines))) + "\n").json()
        return server.create_batch(upload["id"]).json()["id"]

    def submit_tasks(self, server, tasks=LINES):
        answer = server.request("POST", "/v1/tasks", {
            "tasks": [{"kind": "ocr", "payload": i} for i in range(tasks)]})
        self.assertEqual(answer.status, 200, answer.body)

    def test_everything_works_beside_a_server_under_load(self):
        server = self.start_server(config=FAKE)
        batch = self.submit(server)
        data = pathlib.Path(self.dir) / "inferq-data"
        for i in range(3):
            report = json.loads(self.store("check", data, "--json").stdout)
            self.assertEqual(report["shown"], [])
            self.store("backup", data, pathlib.Path(self.dir) / f"copy-{i}")
            stats = json.loads(self.store("stats", data, "--json").stdout)
            self.assertTrue(stats["files"])
        self.assertEqual(server.await_batch(batch)["request_counts"]["completed"], LINES)
        for i in range(3):
            self.assertIn("is sound", self.store("check", f"copy-{i}").stdout)
        # The files of the batch are written, so its lines are gone.
        self.submit_tasks(server, 500)
        exported = [json.loads(line) for line in self.store("export", data).stdout.splitlines()]
        self.assertEqual([row["state"] for row in exported], ["queued"] * 500)

    def test_a_server_goes_on_from_a_backup(self):
        server = self.start_server(config=FAKE)
        batch = self.submit(server)
        self.store("backup", "inferq-data", "copy")
        self.stop_server(server)
        restored = self.start_server("--data", "copy", config=FAKE)
        done = restored.await_batch(batch)
        self.assertEqual(done["status"], "completed")
        results = restored.results(done)
        self.assertEqual(sorted(row["custom_id"] for row in results),
                         sorted(f"line-{i}" for i in range(LINES)))
        self.stop_server(restored)
        self.assertIn("is sound", self.store("check", "copy").stdout)

    def test_damage_is_found_and_the_code_says_so(self):
        server = self.start_server(config=FAKE)
        self.submit_tasks(server, 50)
        self.stop_server(server)
        journal = pathlib.Path(self.dir) / "inferq-data" / "journal.db"
        data = bytearray(journal.read_bytes())
        at = data.rfind(b"@default/ocr")
        self.assertGreater(at, 0)
        data[at:at + 64] = bytes(64)
        journal.write_bytes(data)
        done = self.store("check", "inferq-data", code=1)
        self.assertIn("problems", done.stdout)

    def test_wrong_places_are_told(self):
        self.assertIn("there is no store", self.store("check", self.dir, code=2).stderr)
        self.assertIn("Exit codes", self.store("--help").stdout)
        self.store("backup", "x", code=2)

    def test_export_may_be_cut_short(self):
        server = self.start_server(config=FAKE)
        self.submit_tasks(server)
        process = subprocess.Popen([INFERQ, "store", "export", "inferq-data"], cwd=self.dir,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        json.loads(process.stdout.readline())
        process.stdout.close()  # as `head -1` does
        self.assertEqual(process.wait(timeout=30), 0)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()

    def test_ctrl_c_ends_an_export(self):
        server = self.start_server(config=FAKE)
        self.submit_tasks(server)
        process = subprocess.Popen([INFERQ, "store", "export", "inferq-data"], cwd=self.dir,
                                   stdout=subprocess.PIPE)
        process.stdout.readline()  # it is under way, and soon waits for us: the pipe is full
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=30), -signal.SIGINT)
        process.stdout.close()


if __name__ == "__main__":
    unittest.main()
