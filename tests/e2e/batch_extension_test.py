"""What inferq does with batches beyond OpenAI's API: partial results, pause, edit, retry, estimates,
and the commands for them, against the real binary."""

import http.client
import json
import os
import signal
import time
import unittest

from harness import batch_file, batch_line, kill, wait_for
from serve_harness import FAKE, ServeCase

# Ten lines a second.
SLOW = FAKE.replace('"5ms"', '"200ms"').replace("concurrency = 16", "concurrency = 2\nreserved = 0")



def mixed(count, bad_every=10):
    """A file in which every n-th request is none."""
    return "".join(
        batch_line(f"id-{i}", "x", max_tokens=-1 if i % bad_every == 0 else 2) + "\n" for i in range(count))


class ExtensionCase(ServeCase):
    def serve(self, config=SLOW, **more):
        self.server = self.start_server(config=config, **more)

    def create(self, text, **more):
        file_id = self.server.upload(text).json()["id"]
        answer = self.server.create_batch(file_id, **more)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()["id"]

    def post(self, batch_id, what):
        return self.server.request("POST", f"/v1/batches/{batch_id}/{what}")

    def completed(self, batch_id):
        return self.server.batch(batch_id)["request_counts"]["completed"]

    def some_done(self, batch_id, count=3):
        self.assertTrue(wait_for(lambda: self.completed(batch_id) >= count))

    def results(self, batch_id, after="", **query):
        query = "&".join(f"{key}={value}" for key, value in {"after": after, **query}.items() if value != "")
        return self.server.request("GET", f"/v1/batches/{batch_id}/results?{query}")

    def file_lines(self, batch):
        return sorted(line for key in ("output_file_id", "error_file_id") if batch[key]
                      for line in self.server.content(batch[key]).body.decode().splitlines())


class PartialResults(ExtensionCase):
    def test_pages_across_a_kill_and_the_end(self):
        self.serve()
        batch_id = self.create(mixed(60))
        self.some_done(batch_id)
        lines, after, more, killed = [], "", True, False
        while more:
            page = self.results(batch_id, after, limit=4)
            self.assertEqual(page.status, 200, page.body)
            self.assertEqual(page.headers["content-type"], "application/jsonl")
            lines += page.body.decode().splitlines()
            after, more = page.headers["x-inferq-next-offset"], page.headers["x-inferq-has-more"] == "true"
            if len(lines) >= 8 and not killed:
                killed = True
                kill(self.server.process)
                self.serve()
            if not page.body:
                time.sleep(0.05)
        self.assertTrue(killed)
        batch = self.server.await_batch(batch_id)
        self.assertEqual(page.headers["x-inferq-batch-status"], "completed")
        self.assertEqual(sorted(lines), self.file_lines(batch))
        self.assertEqual(self.results(batch_id, after).body, b"")

    def test_filters_and_mistakes(self):
        self.serve(FAKE)
        batch_id = self.create(mixed(30))
        batch = self.server.await_batch(batch_id)
        for status, key in (("succeeded", "output_file_id"), ("failed", "error_file_id")):
            self.assertEqual(self.results(batch_id, status=status).body, self.server.content(batch[key]).body)
        offset = self.results(batch_id, status="failed").headers["x-inferq-next-offset"]
        for bad in ({"after": "nonsense"}, {"after": offset}, {"status": "done"}, {"limit": 0}, {"stream": "maybe"}):
            answer = self.results(batch_id, **bad)
            self.assertEqual(answer.status, 400, bad)
            self.assertEqual(answer.json()["error"]["param"], next(iter(bad)))
        self.assertEqual(self.results("batch_nothing").status, 404)

    def stream(self, batch_id, last_id="", until=None):
        """The lines of a stream with their ids; ends after `until` of them, else at its end."""
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=30)
        events, event_id, done = [], "", False
        try:
            connection.request("GET", f"/v1/batches/{batch_id}/results?stream=true",
                               headers={"Last-Event-ID": last_id} if last_id else {})
            response = connection.getresponse()
            self.assertEqual(response.status, 200)
            self.assertIn("text/event-stream", response.headers["content-type"])
            for raw in response:
                line = raw.decode().rstrip("\n")
                if line.startswith("id: "):
                    event_id = line[4:]
                elif line == "data: [DONE]":
                    done = True
                elif line.startswith("data: "):
                    events.append((event_id, line[6:]))
                    if until and len(events) >= until:
                        break
        finally:
            connection.close()
        return events, done

    def test_a_stream_is_cut_and_goes_on(self):
        self.serve()
        batch_id = self.create(mixed(40))
        first, done = self.stream(batch_id, until=5)
        self.assertFalse(done)
        rest, done = self.stream(batch_id, last_id=first[-1][0])
        self.assertTrue(done)
        batch = self.server.await_batch(batch_id)
        self.assertEqual(sorted(line for _, line in first + rest), self.file_lines(batch))
        self.assertEqual(self.stream(batch_id, last_id=rest[-1][0]), ([], True))

    def test_a_slow_reader_holds_nobody_up_and_a_stop_ends_streams(self):
        self.serve(FAKE)
        batch_id = self.create("".join(batch_line(f"id-{i}", "x" * 2000, max_tokens=64) + "\n" for i in range(500)))
        connection = http.client.HTTPConnection(self.server.host, self.server.port, timeout=30)
        self.addCleanup(connection.close)
        connection.request("GET", f"/v1/batches/{batch_id}/results?stream=true")
        response = connection.getresponse()  # and is not read
        self.server.await_batch(batch_id)
        self.assertEqual(sum(line.startswith(b"data: {") for line in response), 500)
        paused = self.create(batch_file(5000, max_tokens=64))  # too many to have ended by then
        self.assertEqual(self.post(paused, "pause").status, 200)
        silent = http.client.HTTPConnection(self.server.host, self.server.port, timeout=30)
        self.addCleanup(silent.close)
        silent.request("GET", f"/v1/batches/{paused}/results?stream=true")
        response = silent.getresponse()  # its head is there, and nothing follows
        begun = time.monotonic()
        self.assertEqual(self.stop_server(self.server), 0)
        self.assertLess(time.monotonic() - begun, 15, "the stream held the stop up")
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):  # it does not look whole
            response.read()


class Changes(ExtensionCase):
    def test_pause_and_resume_across_a_kill(self):
        self.serve()
        batch_id = self.create(batch_file(60, max_tokens=2))
        self.some_done(batch_id)
        answer = self.post(batch_id, "pause")
        self.assertEqual((answer.status, answer.json()["paused"]), (200, True))
        self.assertEqual(self.post(batch_id, "pause").status, 200)
        first = json.loads(self.results(batch_id, limit=1).body)["id"].removeprefix("batch_req_")
        waiting = f"task_{int(first, 16) + 40:016x}"  # far from its turn
        why = self.server.request("GET", f"/v1/tasks/{waiting}/explain").json()
        self.assertTrue(why["batch_paused"], why)
        self.assertIn("Its batch is paused.", why["reasons"])
        time.sleep(0.5)  # what ran has ended
        ended = self.completed(batch_id)
        kill(self.server.process)
        self.serve()
        time.sleep(1)
        self.assertEqual(self.completed(batch_id), ended)
        self.assertTrue(self.server.batch(batch_id)["paused"])
        self.assertFalse(self.post(batch_id, "resume").json()["paused"])
        self.assertEqual(self.server.await_batch(batch_id)["request_counts"]["completed"], 60)
        for what in ("pause", "resume"):
            answer = self.post(batch_id, what)
            self.assertEqual((answer.status, answer.headers["x-should-retry"]), (409, "false"))
        self.assertEqual(self.post("batch_nothing", "pause").status, 404)

    def test_priority_deadline_and_versions(self):
        self.serve()
        first = self.create(batch_file(40, max_tokens=2))
        second = self.create(batch_file(10, max_tokens=2), priority=-10, deadline=2000000000)
        batch = self.server.request("GET", f"/v1/batches/{second}")
        self.assertEqual((batch.json()["priority"], batch.json()["deadline"]), (-10, 2000000000))
        self.some_done(first, 1)
        patch = lambda body, tag: self.server.request(
            "PATCH", f"/v1/batches/{second}", json.dumps(body), {"If-Match": tag} if tag else {})
        tag = self.server.request("GET", f"/v1/batches/{second}").headers["etag"]
        edited = patch({"priority": 1000, "deadline": None, "metadata": {"team": "a"}}, tag)
        self.assertEqual(edited.status, 200, edited.body)
        self.assertNotEqual(edited.headers["etag"], tag)
        self.assertEqual((edited.json()["priority"], edited.json()["deadline"], edited.json()["metadata"]),
                         (1000, None, {"team": "a"}))
        self.assertEqual(patch({"priority": 1}, tag).status, 412)
        self.assertEqual(patch({"priority": 1001}, None).json()["error"]["param"], "priority")
        self.assertEqual(patch({"status": "done"}, None).json()["error"]["param"], "status")
        self.server.await_batch(second)
        self.assertLess(self.completed(first), 40, "the edited one did not go first")
        self.assertEqual(patch({"priority": 1}, None).status, 409)

    def test_failed_lines_are_retried_without_an_upload(self):
        self.serve(FAKE)
        file_id = self.server.upload(mixed(30)).json()["id"]
        batch_id = self.server.create_batch(file_id, metadata={"k": "v"}).json()["id"]
        self.server.request("DELETE", f"/v1/files/{file_id}")
        self.server.await_batch(batch_id)
        retry = self.post(batch_id, "retry").json()
        self.assertEqual((retry["retry_of"], retry["metadata"]), (batch_id, {"k": "v"}))
        self.assertEqual(self.server.batch(batch_id)["retried_by"], retry["id"])
        ended = self.server.await_batch(retry["id"])
        self.assertEqual(ended["request_counts"], {"total": 3, "completed": 0, "failed": 3})
        self.assertEqual({line["custom_id"] for line in self.server.results(ended)}, {"id-0", "id-10", "id-20"})
        good = self.create(batch_file(2, max_tokens=2))
        self.server.await_batch(good)
        answer = self.post(good, "retry")
        self.assertEqual((answer.status, answer.headers["x-should-retry"]), (409, "false"))

    def test_a_running_batch_has_an_estimate(self):
        self.serve()
        batch_id = self.create(batch_file(150, max_tokens=2))
        self.assertTrue(wait_for(lambda: self.server.batch(batch_id)["estimate"], timeout=30))
        begun, estimate = time.time(), self.server.batch(batch_id)["estimate"]
        self.assertLessEqual(estimate["seconds_left"]["p50"], estimate["seconds_left"]["p90"])
        self.assertGreater(estimate["basis"]["ended_lines"], 0)
        self.server.await_batch(batch_id)
        took = time.time() - begun
        self.assertLess(estimate["seconds_left"]["p50"] / 3, took)
        self.assertLess(took, estimate["seconds_left"]["p90"] * 3)
        self.assertIsNone(self.server.batch(batch_id)["estimate"])


class Commands(ExtensionCase):
    def serve(self, config=SLOW, **more):
        super().serve(config, **more)
        self.env = {"INFERQ_SERVER": self.server.url}

    def inferq(self, *arguments, code=0):
        self.done = self.run_inferq(*arguments, env=self.env, timeout=60)
        self.assert_exit(self.done, code)
        return self.done.stdout.decode()

    def test_pause_edit_resume_watch(self):
        self.serve()
        batch_id = self.create(batch_file(40, max_tokens=2))
        self.assertIn("paused", self.inferq("batch", "pause", batch_id))
        self.assertIn("paused", self.inferq("batch", "status", batch_id))
        edited = json.loads(self.inferq("batch", "edit", batch_id, "--priority", "7", "--deadline", "+2h", "--json"))
        self.assertEqual(edited["priority"], 7)
        self.assertAlmostEqual(edited["deadline"], time.time() + 7200, delta=60)
        self.assertIsNone(json.loads(self.inferq("batch", "edit", batch_id, "--deadline", "none", "--json"))["deadline"])
        self.inferq("batch", "edit", batch_id, code=2)
        self.inferq("batch", "edit", batch_id, "--deadline", "soon", code=2)
        self.inferq("batch", "edit", batch_id, "--priority", "1001", code=2)
        self.assertNotIn("paused", self.inferq("batch", "resume", batch_id))
        self.inferq("batch", "watch", batch_id)
        self.assertIn("40 of 40 lines succeeded", self.done.stderr.decode())
        self.inferq("batch", "pause", batch_id, code=3)
        self.assertIn("'completed'", self.done.stderr.decode())

    def test_watch_leaves_the_batch_alone(self):
        self.serve()
        batch_id = self.create(batch_file(60, max_tokens=2))
        watching = self.start_inferq("batch", "watch", batch_id, "--json-progress", "--server", self.server.url)
        self.assertIn(batch_id, watching.stderr.readline().decode())
        watching.send_signal(signal.SIGINT)
        self.assertEqual(watching.wait(timeout=10), 130)
        self.assertIn("the batch goes on at the server", watching.stderr.read().decode())
        self.assertEqual(self.server.batch(batch_id)["status"], "in_progress")

    def test_follow_is_interrupted_and_goes_on(self):
        self.serve()
        batch_id = self.create(mixed(40))
        following = self.start_inferq("batch", "results", batch_id, "--follow", "-o", self.path("out.jsonl"),
                                      "-q", "--server", self.server.url)
        self.assertTrue(wait_for(lambda: self.path("out.jsonl").exists() and self.path("out.jsonl").stat().st_size > 500))
        self.assertNotEqual(self.server.batch(batch_id)["status"], "completed")
        os.killpg(following.pid, signal.SIGKILL)
        with open(self.path("out.jsonl"), "ab") as torn:
            torn.write(b'{"half a li')
        self.inferq("batch", "results", batch_id, "--follow", "-o", "out.jsonl", code=1)
        batch = self.server.batch(batch_id)
        self.assertEqual(self.path("out.jsonl").read_bytes(), self.server.content(batch["output_file_id"]).body)
        self.assertEqual(self.path("out.errors.jsonl").read_bytes(), self.server.content(batch["error_file_id"]).body)
        self.assertEqual(list(self.dir.glob("*.offset")), [])

    def test_follow_to_standard_output(self):
        self.serve(FAKE)
        batch_id = self.create(batch_file(5, max_tokens=2))
        lines = self.inferq("batch", "results", batch_id, "--follow").splitlines()
        self.assertEqual(len({json.loads(line)["custom_id"] for line in lines}), 5)
        self.assertEqual(self.inferq("batch", "results", batch_id).splitlines(), lines)
        self.inferq("batch", "results", "batch_nothing", "--follow", "-o", "out.jsonl", code=3)

    def test_retry(self):
        self.serve(FAKE)
        batch_id = self.create(mixed(20))
        self.inferq("batch", "wait", batch_id, code=1)
        retry = self.inferq("batch", "retry", batch_id, "--failed-only").strip()
        self.assertEqual(self.server.await_batch(retry)["request_counts"]["total"], 2)
        self.inferq("batch", "retry", "batch_nothing", code=3)

    def test_config_check(self):
        self.write("good.toml", FAKE)
        self.assertIn("good.toml is valid", self.run_inferq("config", "check", "good.toml").stdout.decode())
        self.write("bad.toml", '[server]\nlisten = 5\nio_treads = 3\n\n[[model]]\nname = "m"\nfake = "yes"\n')
        done = self.run_inferq("config", "check", "bad.toml")
        self.assert_exit(done, 2)
        for place in ("bad.toml:2: server.listen", "bad.toml:3: server.io_treads", "bad.toml:7: model.fake"):
            self.assertIn(place, done.stderr.decode())
        told = json.loads(self.run_inferq("config", "check", "bad.toml", "--json").stdout)
        self.assertEqual((told["valid"], len(told["problems"])), (False, 3))
        self.assert_exit(self.run_inferq("config", "check", "missing.toml"), 2)

    def test_every_command_has_an_example(self):
        for name in ("list", "status", "wait", "watch", "results", "cancel", "pause", "resume", "edit", "retry"):
            text = self.run_inferq("batch", name, "--help").stdout.decode()
            self.assertIn(f"inferq batch {name}", text.partition("Example")[2], name)
            self.assertIn("Exit codes", text, name)
        for name in ("show", "check"):
            text = self.run_inferq("config", name, "--help").stdout.decode()
            self.assertIn(f"inferq config {name}", text.partition("Example")[2], name)


if __name__ == "__main__":
    unittest.main()
