"""Batches without a file of requests: those whose requests stand in their creation, and those of rows."""

import json
import os
import signal
import unittest

from backend_test import Backend, chat_answer
from serve_harness import FAKE, ServeCase

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}


class Inline(ServeCase):
    def create(self, server, requests, **more):
        return server.request("POST", "/v1/batches", {
            "requests": requests, "endpoint": "/v1/chat/completions", "completion_window": "24h", **more})

    def test_requests_run_without_a_file(self):
        server = self.start_server(config=FAKE)
        made = self.create(server, [{"body": CHAT}, {"custom_id": "mine", "body": CHAT},
                                    {"method": "POST", "url": "/v1/chat/completions", "body": CHAT}])
        self.assertEqual(made.status, 200, made.body)
        file = server.request("GET", f"/v1/files/{made.json()['input_file_id']}").json()
        self.assertEqual((file["purpose"], file["filename"]), ("batch", "batch_requests.jsonl"))
        done = server.await_batch(made.json()["id"])
        self.assertEqual(done["status"], "completed")
        self.assertEqual({line["custom_id"] for line in server.results(done)}, {"request-1", "mine", "request-3"})

    def test_bad_requests_are_listed_by_their_number(self):
        server = self.start_server(config=FAKE)
        made = self.create(server, [{"body": CHAT}, {"body": {"messages": []}}, {"custom_id": "request-1", "body": CHAT}])
        done = server.await_batch(made.json()["id"])
        self.assertEqual(done["status"], "failed")
        self.assertEqual([error["line"] for error in done["errors"]["data"]], [2, 3])

    def test_refusals_name_the_way_out_and_leave_no_file(self):
        server = self.start_server(config="[server]\nbody_limit = \"64KiB\"\n" + FAKE)
        self.assertEqual(self.create(server, []).status, 400)
        both = self.create(server, [{"body": CHAT}], input_file_id="file-1")
        self.assertEqual(both.json()["error"]["param"], "requests")
        self.assertEqual(self.create(server, [{"body": CHAT}], completion_window="1h").status, 400)
        large = self.create(server, [{"body": CHAT}] * 2000)
        self.assertEqual(large.status, 413)
        self.assertIn("input_file_id", large.json()["error"]["message"])
        self.assertEqual(server.request("GET", "/v1/files").json()["data"], [])

    def test_what_was_taken_survives_a_kill(self):
        config = FAKE.replace('"5ms"', '"50ms"')
        server = self.start_server(config=config)
        made = self.create(server, [{"body": CHAT} for _ in range(500)])
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        self.assertEqual(made.status, 200)
        server = self.start_server(config=config)
        done = server.await_batch(made.json()["id"])
        self.assertEqual(done["request_counts"], {"total": 500, "completed": 500, "failed": 0})


class Rows(ServeCase):
    def run_rows(self, server, name, text, **more):
        file = server.upload(text, filename=name)
        self.assertEqual(file.status, 200, file.body)
        made = server.create_batch(file.json()["id"], **{"model": "m", **more})
        self.assertEqual(made.status, 200, made.body)
        return server.await_batch(made.json()["id"])

    def test_rows_become_what_the_template_says(self):
        backend = Backend(chat_answer)
        self.addCleanup(backend.stop)
        server = self.start_server(config=f'[[model]]\nname = "m"\nurl = "http://127.0.0.1:{backend.port}/v1"\n')
        done = self.run_rows(server, "rows.csv", 'id,text\na,"one,\ntwo"\nb,你好\n', input_format="csv",
                             template="Say: {{text}}", system="Be short.", body={"max_tokens": 7})
        self.assertEqual(done["request_counts"]["completed"], 2, done)
        texts = {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"]
                 for line in server.results(done)}
        self.assertEqual(texts, {"a": "echo Say: one,\ntwo", "b": "echo Say: 你好"})
        body = json.loads(backend.requests[0][1])
        self.assertEqual((body["max_tokens"], body["messages"][0]), (7, {"role": "system", "content": "Be short."}))
        done = self.run_rows(server, "rows.json", json.dumps([{"text": "x"}, {"text": "y"}]), input_format="json")
        self.assertEqual({line["custom_id"] for line in server.results(done)}, {"row-1", "row-2"})

    def test_bad_rows_are_listed_by_line(self):
        server = self.start_server(config=FAKE)
        done = self.run_rows(server, "rows.csv", "text\nfine\ntoo,many\nfine\n", input_format="csv")
        self.assertEqual(done["status"], "failed")
        self.assertEqual([error["line"] for error in done["errors"]["data"]], [3])
        self.assertEqual(server.upload("text\nx\n").status, 400)
        file = server.upload("text\nx\n", filename="a.csv").json()
        refused = server.create_batch(file["id"], template="{{text}}")
        self.assertEqual((refused.status, refused.json()["error"]["param"]), (400, "template"))

    def test_many_rows_survive_a_kill_while_they_are_read(self):
        config = FAKE.replace('"5ms"', '"0ms"').replace('"1ms"', '"0ms"')
        server = self.start_server(config=config)
        text = "text\n" + "".join(f"question {i}\n" for i in range(30_000))
        file = server.upload(text, filename="rows.csv").json()
        made = server.create_batch(file["id"], input_format="csv", model="m", body={"max_tokens": 1}).json()
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server = self.start_server(config=config)
        done = server.await_batch(made["id"])
        self.assertEqual(done["request_counts"], {"total": 30_000, "completed": 30_000, "failed": 0})


if __name__ == "__main__":
    unittest.main()
