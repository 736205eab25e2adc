"""The client commands, and the programs of examples/clients, against `inferq serve`."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import unittest

from harness import batch_file, batch_line, wait_for
from serve_harness import FAKE, ServeCase

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "examples" / "clients"
SLOW = FAKE.replace('"5ms"', '"200ms"').replace("16", "2")
KEYS = ("INFERQ_API_KEY", "OPENAI_API_KEY")


class ClientCase(ServeCase):
    """A test with one server, which the commands find through INFERQ_SERVER."""

    def serve(self, config=FAKE, key=""):
        self.server = self.start_server(config=config)
        self.env = {"INFERQ_SERVER": self.watched(self.server), **dict.fromkeys(KEYS, key)}

    def inferq(self, *arguments, code=0, stdin=b"", **env):
        """Runs a command that must end with `code`; what it printed on standard output."""
        self.done = self.run_inferq(*arguments, stdin=stdin, env={**self.env, **env}, timeout=30)
        self.assert_exit(self.done, code)
        return self.done.stdout.decode()

    def stderr(self):
        return self.done.stderr.decode()

    def submit(self, *arguments, **more):
        return self.inferq("batch", "submit", *arguments, **more).strip()

    def ended(self, batch_id):
        return self.server.await_batch(batch_id, timeout=20)

    def input_of(self, batch_id):
        """The bytes of the input that the server has."""
        return self.server.content(self.server.batch(batch_id)["input_file_id"]).body


class Submit(ClientCase):
    def setUp(self):
        super().setUp()
        self.serve()

    def test_batch_lines_arrive_byte_for_byte(self):
        odd = (b'{"body":{"messages":[ {"content":"\\u4f60 \xe5\xa5\xbd  \\/","role":"user"}],\t"model":"m",'
               b'"temperature":1.0e0},"url":"/v1/chat/completions","custom_id":"odd" , "method":"POST"}\n')
        text = batch_file(20, max_tokens=2).encode() + odd
        batch_id = self.submit(self.write("input.jsonl", text))
        self.assertEqual(self.input_of(batch_id), text)
        self.assertEqual(self.ended(batch_id)["request_counts"], {"total": 21, "completed": 21, "failed": 0})

    def test_standard_input(self):
        text = batch_file(3, max_tokens=2).encode()
        batch_id = self.submit("-", stdin=text)
        self.assertEqual(self.input_of(batch_id), text)

    def test_rows_become_requests(self):
        self.write("reviews.csv", 'id,text\na,"good, ""very"""\nb,坏\n')
        batch_id = self.submit("reviews.csv", "--model", "m", "--template", "Positive? {{text}}",
                               "--max-tokens", "2", "--metadata", "team=search", "--metadata", "n=1")
        lines = [json.loads(line) for line in self.input_of(batch_id).splitlines()]
        self.assertEqual([line["custom_id"] for line in lines], ["a", "b"])
        self.assertEqual([line["body"]["messages"][0]["content"] for line in lines],
                         ['Positive? good, "very"', "Positive? 坏"])
        self.assertTrue(all(line["body"]["model"] == "m" and line["body"]["max_tokens"] == 2 for line in lines))
        self.assertEqual(self.ended(batch_id)["metadata"], {"team": "search", "n": "1"})

    def test_completions(self):
        self.write("prompts.jsonl", '"one"\n"two"\n')
        self.submit("prompts.jsonl", "--model", "m", "--endpoint", "completions", "--wait", "-o", "out.jsonl")
        self.assertEqual({line["response"]["body"]["object"] for line in self.lines("out.jsonl")},
                         {"text_completion"})

    def test_wait_and_download(self):
        self.write("input.jsonl", batch_file(30, max_tokens=2))
        batch_id = self.submit("input.jsonl", "--wait", "-o", "out.jsonl")
        self.assertIn(f"{batch_id}: completed; 30 of 30 lines succeeded, 0 failed", self.stderr())
        self.assert_each_once([f"id-{i}" for i in range(30)], "out.jsonl")
        self.assertEqual(sorted(f.name for f in self.dir.iterdir() if f.is_file()),
                         ["inferq.toml", "input.jsonl", "out.jsonl"])

    def test_results_alone_go_to_standard_output(self):
        out = self.inferq("batch", "submit", self.write("input.jsonl", batch_file(3, max_tokens=2)), "--wait", "-o", "-")
        self.assertEqual(sorted(json.loads(line)["custom_id"] for line in out.splitlines()), ["id-0", "id-1", "id-2"])
        self.assertIn("batch_", self.stderr())

    def test_failed_lines_go_beside(self):
        self.write("input.jsonl", batch_file(2, max_tokens=2) + batch_line("bad", "x", max_tokens="many") + "\n")
        self.submit("input.jsonl", "--wait", "-o", "out.jsonl", code=1)
        self.assert_each_once(["id-0", "id-1"], "out.jsonl")
        self.assert_each_once(["bad"], "out.errors.jsonl")

    def test_a_bad_input_is_not_sent(self):
        self.write("input.jsonl", batch_file(1) + "{oops\n")
        self.assertEqual(self.submit("input.jsonl", code=2), "")
        self.assertIn("line 2: ", self.stderr())
        self.assertIn("nothing was sent", self.stderr())
        self.submit("missing.jsonl", code=2)
        self.submit(self.write("empty.jsonl", ""), code=2)
        self.submit("input.jsonl", "-o", "out.jsonl", code=2)  # needs --wait
        self.submit("input.jsonl", "--metadata", "team", code=2)
        self.assertEqual(self.server.request("GET", "/v1/files").json()["data"], [])

    def test_a_batch_that_fails(self):
        self.submit(self.write("input.jsonl", batch_file(2, model="other")), "--wait", "-o", "out.jsonl", code=5)
        self.assertIn("line 1: ", self.stderr())
        self.assertIn("'other'", self.stderr())

    def test_a_refused_batch_names_the_field_and_the_uploaded_file(self):
        self.submit(self.write("input.jsonl", batch_file(1)), "--window", "48q", code=3)
        self.assertIn("completion_window", self.stderr())
        file_id = self.server.request("GET", "/v1/files").json()["data"][0]["id"]
        self.assertIn(f"inferq file delete {file_id}", self.stderr())


class Watch(ClientCase):
    def test_status_list_and_json(self):
        self.serve()
        self.write("input.jsonl", batch_file(4, max_tokens=2))
        ids = [self.submit("input.jsonl") for _ in range(3)]
        for batch_id in ids:
            self.ended(batch_id)
        self.inferq("batch", "wait", ids[0])
        self.assertIn("4 of 4 succeeded, 0 failed", self.inferq("batch", "status", ids[0]))
        self.assertEqual(json.loads(self.inferq("batch", "status", ids[0], "--json")), self.server.batch(ids[0]))
        self.assertEqual(json.loads(self.inferq("batch", "wait", ids[0], "--json")), self.server.batch(ids[0]))
        table = self.inferq("batch", "list").splitlines()
        self.assertEqual([line.split()[0] for line in table], ["ID", *reversed(ids)])
        newest = self.inferq("batch", "list", "--limit", "2", "--json").splitlines()
        self.assertEqual([json.loads(line) for line in newest], [self.server.batch(i) for i in ids[:0:-1]])
        self.assertEqual(len(self.inferq("batch", "list", "--all", "--json").splitlines()), 3)
        self.inferq("batch", "status", "batch_nothing", code=3)
        self.assertIn("batch_nothing", self.stderr())

    def test_progress_as_json(self):
        self.serve(SLOW)
        self.submit(self.write("input.jsonl", batch_file(8, max_tokens=2)), "--wait", "-o", "out.jsonl", "--json-progress")
        events = [json.loads(line) for line in self.stderr().splitlines()]
        self.assertEqual({event["event"] for event in events}, {"transfer", "progress", "summary"})
        self.assertEqual(events[-1]["batch"]["request_counts"], {"total": 8, "completed": 8, "failed": 0})

    def test_quiet(self):
        self.serve()
        self.submit(self.write("input.jsonl", batch_file(2, max_tokens=2)), "--wait", "-o", "out.jsonl", "-q")
        self.assertEqual(self.stderr(), "")

    def test_whoever_stops_waiting_leaves_the_batch_alone(self):
        self.serve(SLOW)
        batch_id = self.submit(self.write("input.jsonl", batch_file(30, max_tokens=2)))
        self.inferq("batch", "wait", batch_id, "--timeout", "0.2", code=124)
        self.inferq("batch", "results", batch_id, "-o", "early.jsonl", code=2)
        self.assertFalse(self.path("early.jsonl").exists())
        waiting = self.start_inferq("batch", "wait", batch_id, "--json-progress",
                                    "--server", self.env["INFERQ_SERVER"])
        self.assertIn(batch_id, waiting.stderr.readline().decode())  # it is at it
        waiting.send_signal(signal.SIGINT)
        self.assertEqual(waiting.wait(timeout=10), 130)
        self.assertIn(f"inferq batch wait {batch_id}", waiting.stderr.read().decode())
        self.assertEqual(self.server.batch(batch_id)["status"], "in_progress")
        self.inferq("batch", "wait", batch_id)
        self.assertEqual(self.server.batch(batch_id)["request_counts"]["completed"], 30)

    def test_cancel_keeps_the_lines_that_ended(self):
        self.serve(SLOW)
        batch_id = self.submit(self.write("input.jsonl", batch_file(400, max_tokens=2)))
        self.assertTrue(wait_for(lambda: self.server.batch(batch_id)["request_counts"]["completed"] > 0))
        self.assertIn("cancel", self.inferq("batch", "cancel", batch_id))
        self.inferq("batch", "wait", batch_id, code=5)
        self.inferq("batch", "results", batch_id, "-o", "out.jsonl", code=5)
        self.assertTrue(self.lines("out.jsonl"))
        self.assert_each_once([f"id-{i}" for i in range(400)], "out.jsonl", "out.errors.jsonl")


class Results(ClientCase):
    def setUp(self):
        super().setUp()
        self.serve()
        self.write("input.jsonl", batch_file(5, max_tokens=2) + batch_line("bad", "x", max_tokens="many") + "\n")
        self.batch = self.ended(self.submit("input.jsonl"))
        self.good = self.server.content(self.batch["output_file_id"]).body
        self.bad = self.server.content(self.batch["error_file_id"]).body

    def results(self, *arguments, **more):
        return self.inferq("batch", "results", self.batch["id"], *arguments, code=1, **more)

    def test_to_files(self):
        self.results("-o", "out.jsonl")
        self.assertEqual(self.path("out.jsonl").read_bytes(), self.good)
        self.assertEqual(self.path("out.errors.jsonl").read_bytes(), self.bad)

    def test_to_standard_output(self):
        self.assertEqual(self.results("-o", "-", "--errors", "bad.jsonl").encode(), self.good)
        self.assertEqual(self.path("bad.jsonl").read_bytes(), self.bad)

    def test_a_download_goes_on_where_it_broke(self):
        kept = b"#" * 100  # other bytes than the server's show that they were not fetched again
        part = self.write(f"out.jsonl.{self.batch['output_file_id']}.part", kept)
        self.results("-o", "out.jsonl")
        self.assertEqual(self.path("out.jsonl").read_bytes(), kept + self.good[100:])
        self.assertFalse(self.path(part).exists())

    def test_a_disk_that_is_full_or_missing(self):
        self.inferq("batch", "results", self.batch["id"], "-o", "missing/out.jsonl", code=4)
        self.assertIn("missing/out.jsonl", self.stderr())
        done = self.run_inferq("batch", "results", self.batch["id"], "-o", "out.jsonl", env=self.env, file_limit=64)
        self.assert_exit(done, 4)
        self.assertFalse(self.path("out.jsonl").exists())
        self.results("-o", "out.jsonl")
        self.assertEqual(self.path("out.jsonl").read_bytes(), self.good)


class Files(ClientCase):
    def test_upload_list_get_delete(self):
        self.serve()
        data = bytes(range(256)) * 5000
        upload = lambda *more: self.inferq("file", "upload", self.write("data.bin", data), *more)
        file_id = upload("--purpose", "user_data").strip()
        other = json.loads(upload("--json", "--purpose", "assistants"))["id"]
        self.inferq("file", "get", file_id, "-o", "back.bin")
        self.assertEqual(self.path("back.bin").read_bytes(), data)
        self.assertEqual(self.run_inferq("file", "get", file_id, env=self.env).stdout, data)
        self.assertIn("data.bin", self.inferq("file", "get", file_id, "--info"))
        info = json.loads(self.inferq("file", "get", file_id, "--info", "--json"))
        self.assertEqual((info["bytes"], info["purpose"]), (len(data), "user_data"))
        listed = [line.split()[0] for line in self.inferq("file", "list").splitlines()]
        self.assertEqual(listed, ["ID", other, file_id])
        only = self.inferq("file", "list", "--purpose", "user_data", "--json").splitlines()
        self.assertEqual([json.loads(line) for line in only], [info])
        self.assertEqual(self.inferq("file", "delete", file_id), f"{file_id} is deleted\n")
        self.inferq("file", "get", file_id, "-o", "gone.bin", code=3)
        self.inferq("file", "delete", file_id, code=3)
        self.assertEqual([f.name for f in self.dir.glob("gone*")], [])
        self.inferq("file", "upload", "missing.bin", code=2)
        self.inferq("file", "upload", "data.bin", "--purpose", "nonsense", code=3)
        self.assertIn("purpose", self.stderr())


class Access(ClientCase):
    def test_the_key_is_taken_from_the_environment_or_a_file(self):
        made = self.run_inferq("key", "create", "--tenant", "ann").stdout.decode()
        key = next(word for word in made.split() if word.startswith("iq-"))
        self.serve(FAKE + "\n" + made[made.index("[[tenant]]"):])
        self.inferq("batch", "list", code=3)
        self.assertIn("check the API key", self.stderr())
        self.inferq("batch", "list", code=3, INFERQ_API_KEY="iq-sEcReT")
        self.assertNotIn("sEcReT", self.stderr())
        text = batch_file(2, max_tokens=2)
        batch_id = self.submit(self.write("input.jsonl", text), "--wait", "-o", "out.jsonl", INFERQ_API_KEY=key)
        self.assert_each_once(["id-0", "id-1"], "out.jsonl")
        del self.env["INFERQ_API_KEY"]
        self.assertIn(batch_id, self.inferq("batch", "list", OPENAI_API_KEY=key))
        self.write("key", key + "\nanother line\n")
        self.assertIn(batch_id, self.inferq("batch", "list", "--api-key-file", "key", INFERQ_API_KEY="iq-wrong"))
        self.inferq("batch", "list", "--api-key-file", "missing", code=2)

    def test_nobody_is_there(self):
        with socket.socket() as taken:  # bound, but not listening
            taken.bind(("127.0.0.1", 0))
            url = "http://127.0.0.1:%d/v1" % taken.getsockname()[1]
            done = self.run_inferq("batch", "list", "--server", url, "--give-up-after", "0.1", timeout=20)
        self.assert_exit(done, 3)
        self.assertIn(url.removeprefix("http://").removesuffix("/v1"), done.stderr.decode())
        self.assert_exit(self.run_inferq("batch", "list", "--server", "no url"), 2)
        self.assert_exit(self.run_inferq("batch", "status"), 2)


class Examples(ClientCase):
    """Each program runs a good batch to its results, and says by its exit code when a batch was not."""

    def setUp(self):
        super().setUp()
        made = self.run_inferq("key", "create", "--tenant", "ann").stdout.decode()
        self.key = next(word for word in made.split() if word.startswith("iq-"))
        self.serve(FAKE + "\n" + made[made.index("[[tenant]]"):], self.key)
        self.write("good.jsonl", batch_file(3, max_tokens=2))
        self.write("mixed.jsonl", batch_file(2, max_tokens=2) + batch_line("bad", "x", max_tokens="many") + "\n")
        self.write("failing.jsonl", batch_file(2, model="other"))

    def example(self, *command, good=True, **env):
        done = subprocess.run(list(map(str, command)), cwd=self.dir, capture_output=True, text=True, timeout=60,
                              check=False, env={**os.environ, **self.env, "INFERQ_MODEL": "m", **env})
        self.assertEqual(done.returncode == 0, good, f"exit {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def check_files(self, *program):
        self.example(*program, "good.jsonl", "out.jsonl")
        self.assert_each_once(["id-0", "id-1", "id-2"], "out.jsonl")
        printed = self.example(*program, "mixed.jsonl", good=False)
        self.assertEqual(sorted(json.loads(line)["custom_id"] for line in printed.splitlines()), ["id-0", "id-1"])
        self.example(*program, "failing.jsonl", good=False)
        self.example(*program, "good.jsonl", good=False, INFERQ_API_KEY="iq-wrong")

    def test_python(self):
        self.check_files(sys.executable, CLIENTS / "batch.py")
        made_up = self.example(sys.executable, CLIENTS / "batch.py").splitlines()
        self.assertEqual(sorted(json.loads(line)["custom_id"] for line in made_up), ["q1", "q2"])

    @unittest.skipUnless(shutil.which("curl") and shutil.which("jq"), "curl and jq are not installed")
    def test_shell(self):
        self.check_files("bash", CLIENTS / "batch.sh")

    def test_javascript(self):
        self.assertTrue((ROOT / "node_modules" / "openai").exists(), "run tools/setup.sh: the npm packages are missing")
        printed = [line.split(" ", 1) for line in self.example("node", CLIENTS / "batch.mjs").splitlines()]
        self.assertEqual(sorted(name for name, _ in printed), ["chat", "q1", "q2", "stream"])
        self.assertTrue(all(text.strip() for _, text in printed))
        self.example("node", CLIENTS / "batch.mjs", good=False, INFERQ_MODEL="other")
        self.example("node", CLIENTS / "batch.mjs", good=False, INFERQ_API_KEY="iq-wrong")


if __name__ == "__main__":
    unittest.main()
