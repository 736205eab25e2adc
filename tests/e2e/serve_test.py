"""`inferq serve` over HTTP, as a program written for OpenAI's API uses it."""

import http.client
import json
import os
import socket
import subprocess
import time
import unittest

from harness import INFERQ, batch_file, batch_line, children_of, wait_for
from serve_harness import FAKE, ServeCase

SLOW = FAKE.replace('"5ms"', '"2s"').replace("16", "4")


def chat(**body):
    return {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4, **body}


class Batches(ServeCase):
    def test_upload_run_download(self):
        server = self.start_server(config=FAKE)
        text = batch_file(50, max_tokens=3)
        file = server.upload(text).json()
        self.assertEqual(file["object"], "file")
        self.assertEqual(file["bytes"], len(text))
        batch = server.create_batch(file["id"], metadata={"who": "test"}).json()
        self.assertEqual(batch["status"], "validating")
        done = server.await_batch(batch["id"])
        self.assertEqual(done["status"], "completed")
        self.assertEqual(done["request_counts"], {"total": 50, "completed": 50, "failed": 0})
        self.assertEqual(done["metadata"], {"who": "test"})
        self.assertIsNone(done["error_file_id"])
        lines = server.results(done)
        self.assertEqual(sorted(line["custom_id"] for line in lines),
                         sorted(f"id-{i}" for i in range(50)))
        self.assertTrue(all(line["response"]["status_code"] == 200 for line in lines))
        self.assertEqual(server.content(file["id"]).body.decode(), text)
        self.assertEqual(self.stop_server(server), 0)

    def test_bad_lines_are_listed(self):
        server = self.start_server(config=FAKE)
        file = server.upload(batch_line("a", "x") + "\n{oops\n" + batch_line("a", "y") + "\n").json()
        done = server.await_batch(server.create_batch(file["id"]).json()["id"])
        self.assertEqual(done["status"], "failed")
        self.assertEqual([error["line"] for error in done["errors"]["data"]], [2, 3])

    def test_cancel(self):
        server = self.start_server(config=SLOW)
        file = server.upload(batch_file(400)).json()
        batch = server.create_batch(file["id"]).json()
        self.assertTrue(wait_for(
            lambda: server.batch(batch["id"])["status"] == "in_progress"))
        cancelling = server.request("POST", f"/v1/batches/{batch['id']}/cancel").json()
        self.assertEqual(cancelling["status"], "cancelling")
        done = server.await_batch(batch["id"])
        self.assertEqual(done["status"], "cancelled")
        lines = server.results(done)
        self.assertEqual(len({line["custom_id"] for line in lines}), 400)
        self.assertEqual(len(lines), 400)
        again = server.request("POST", f"/v1/batches/{batch['id']}/cancel")
        self.assertEqual((again.status, again.json()["status"]), (200, "cancelled"))

    def test_ranges_and_lists(self):
        server = self.start_server(config=FAKE)
        ids = [server.upload("line %d\n" % i, purpose="user_data").json()["id"] for i in range(5)]
        part = server.request("GET", f"/v1/files/{ids[0]}/content", headers={"Range": "bytes=2-3"})
        self.assertEqual((part.status, part.body, part.headers["content-range"]),
                         (206, b"ne", "bytes 2-3/7"))
        page = server.request("GET", "/v1/files?limit=2").json()
        self.assertEqual([f["id"] for f in page["data"]], ids[:2:-1])
        self.assertTrue(page["has_more"])
        rest = server.request("GET", f"/v1/files?limit=9&after={page['last_id']}").json()
        self.assertEqual([f["id"] for f in rest["data"]], ids[2::-1])
        gone = server.request("DELETE", f"/v1/files/{ids[0]}").json()
        self.assertEqual(gone, {"id": ids[0], "object": "file", "deleted": True})
        self.assertEqual(server.content(ids[0]).status, 404)

    def test_sigterm_hands_back_and_the_next_start_goes_on(self):
        server = self.start_server("--grace", "200ms", config=SLOW)
        batch = server.create_batch(server.upload(batch_file(20)).json()["id"]).json()
        self.assertTrue(wait_for(lambda: server.batch(batch["id"])["status"] == "in_progress"))
        self.assertEqual(self.stop_server(server), 0)
        server = self.start_server(config=FAKE)
        done = server.await_batch(batch["id"])
        self.assertEqual(done["request_counts"], {"total": 20, "completed": 20, "failed": 0})

    def test_a_full_disk_is_said_and_survived(self):
        server = self.start_server(config=FAKE)
        batch = server.create_batch(server.upload(batch_file(300)).json()["id"]).json()
        pid = server.process.pid
        # Room for the journal but not for the upload: SQLite takes a bound on file sizes for a broken disk.
        limit = 8 << 20
        subprocess.run(["prlimit", "--pid", str(pid), f"--fsize={limit}:unlimited"], check=True)
        big = batch_line("big", "x" * (limit + 100_000)) + "\n"
        refused = server.upload(big)
        self.assertIn(refused.status, (429, 503), refused.body)
        self.assertIn("retry-after", refused.headers)
        subprocess.run(["prlimit", "--pid", str(pid), "--fsize=unlimited:unlimited"], check=True)
        self.assertTrue(wait_for(lambda: server.upload(big).status == 200))
        self.assertEqual(server.await_batch(batch["id"])["request_counts"]["completed"], 300)


class Online(ServeCase):
    def test_chat_and_completions(self):
        server = self.start_server(config=FAKE)
        answer = server.request("POST", "/v1/chat/completions", chat())
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json()["object"], "chat.completion")
        self.assertEqual(answer.json()["usage"]["completion_tokens"], 4)
        self.assertIn("x-request-id", answer.headers)
        plain = server.request("POST", "/v1/completions", {"model": "m", "prompt": "a", "max_tokens": 2})
        self.assertEqual(plain.json()["object"], "text_completion")

    def test_a_stream_is_well_formed(self):
        server = self.start_server(config=FAKE)
        answer = server.request("POST", "/v1/chat/completions",
                                chat(stream=True, stream_options={"include_usage": True}))
        self.assertEqual(answer.headers["content-type"].split(";")[0], "text/event-stream")
        events = answer.body.decode().split("\n\n")
        self.assertEqual(events[-1], "")
        self.assertEqual(events[-2], "data: [DONE]")
        chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
        self.assertTrue(all(chunk["object"] == "chat.completion.chunk" for chunk in chunks))
        self.assertEqual(chunks[0]["choices"][0]["delta"]["role"], "assistant")
        self.assertEqual(chunks[-1]["choices"], [])
        self.assertEqual(chunks[-1]["usage"]["completion_tokens"], 4)
        self.assertEqual(chunks[-2]["choices"][0]["finish_reason"], "length")

    def test_errors_name_the_field(self):
        server = self.start_server(config=FAKE)
        missing = server.request("POST", "/v1/chat/completions", chat(model="other"))
        self.assertEqual((missing.status, missing.json()["error"]["param"]), (404, "model"))
        wrong = server.request("POST", "/v1/chat/completions", chat(max_tokens="many"))
        self.assertEqual((wrong.status, wrong.json()["error"]["param"]), (400, "max_tokens"))
        broken = server.request("POST", "/v1/chat/completions", "{", {"Content-Type": "application/json"})
        self.assertEqual(broken.status, 400)
        self.assertEqual(server.request("GET", "/v1/nothing").status, 404)
        self.assertEqual(server.request("PUT", "/v1/files").status, 405)

    def test_who_hangs_up_frees_the_slot(self):
        server = self.start_server(config=SLOW.replace("4", "1").replace('"2s"', '"60s"'))
        hung = socket.create_connection((server.host, server.port))
        body = json.dumps(chat()).encode()
        hung.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
                     % (len(body), body))
        metric = lambda: server.request("GET", "/metrics", port=int(server.admin.rsplit(":", 1)[1].split("/")[0])).body
        self.assertTrue(wait_for(lambda: b'inferq_lane_running{model="m"} 1' in metric()))
        hung.close()
        self.assertTrue(wait_for(lambda: b'inferq_lane_running{model="m"} 0' in metric()))


class Tenants(ServeCase):
    def setUp(self):
        super().setUp()
        self.keys = {}
        config = FAKE
        for name in ("ann", "bob"):
            made = self.run_inferq("key", "create", "--tenant", name)
            self.assert_exit(made, 0)
            text = made.stdout.decode()
            self.keys[name] = next(word for word in text.split() if word.startswith("iq-"))
            config += "\n" + text[text.index("[[tenant]]"):]
        self.server = self.start_server(config=config)

    def auth(self, name):
        return {"Authorization": f"Bearer {self.keys[name]}"}

    def test_without_a_key_is_401(self):
        for method, path in (("GET", "/v1/files"), ("POST", "/v1/batches"), ("GET", "/v1/models"),
                             ("POST", "/v1/chat/completions"), ("POST", "/v1/files")):
            for headers in ({}, {"Authorization": "Bearer iq-wrong"}):
                answer = self.server.request(method, path, headers=headers)
                self.assertEqual(answer.status, 401, path)
                self.assertEqual(answer.json()["error"]["code"], "invalid_api_key")

    def test_others_things_do_not_exist(self):
        server, ann, bob = self.server, self.auth("ann"), self.auth("bob")
        file = server.upload(batch_file(3), headers=ann).json()["id"]
        batch = server.create_batch(file, headers=ann).json()["id"]
        done = server.await_batch(batch, headers=ann)
        for method, path in (("GET", f"/v1/files/{file}"), ("GET", f"/v1/files/{file}/content"),
                             ("DELETE", f"/v1/files/{file}"), ("GET", f"/v1/batches/{batch}"),
                             ("POST", f"/v1/batches/{batch}/cancel"),
                             ("GET", f"/v1/files/{done['output_file_id']}/content")):
            self.assertEqual(server.request(method, path, headers=bob).status, 404, path)
        self.assertEqual(server.request("GET", "/v1/files", headers=bob).json()["data"], [])
        self.assertEqual(server.request("GET", "/v1/batches", headers=bob).json()["data"], [])
        stolen = server.create_batch(file, headers=bob).json()["id"]
        self.assertEqual(server.await_batch(stolen, headers=bob)["status"], "failed")
        self.assertEqual(server.request("GET", "/t/ann/v1/files", headers=bob).status, 403)
        self.assertEqual(server.request("GET", f"/v1/files/{file}", headers=ann).status, 200)

    def test_no_key_in_any_log(self):
        self.server.request("GET", "/v1/files", headers=self.auth("ann"))
        self.server.request("GET", "/v1/files", headers={"Authorization": "Bearer iq-sEcReTsEcReT"})
        self.stop_server(self.server)
        log = b"".join(self.server.log).decode()
        self.assertIn('"tenant":"ann"', log)
        for key in (*self.keys.values(), "sEcReT"):
            self.assertNotIn(key, log)


class Start(ServeCase):
    def test_without_a_config_it_serves_the_models_it_finds(self):
        (self.dir / "models").mkdir()
        made = subprocess.run([INFERQ.parent / "inferq-make-gguf", "--preset", "tiny", "--arch", "glm4",
                               "--seed", "1", "--out", self.dir / "models" / "tiny.gguf"], check=False)
        self.assertEqual(made.returncode, 0)
        server = self.start_server()
        models = server.request("GET", "/v1/models").json()
        self.assertEqual([model["id"] for model in models["data"]], ["tiny"])
        self.assertEqual(children_of(server.process.pid), [], "a model is loaded when it is asked for")
        answer = server.request("POST", "/v1/chat/completions", chat(model="tiny", temperature=0))
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(len(children_of(server.process.pid)), 1)
        self.assertEqual(oct((self.dir / "inferq-data").stat().st_mode & 0o777), "0o700")

    def test_without_models_it_serves_external_workers_and_says_so(self):
        server = self.start_server()
        self.assertTrue(wait_for(lambda: b"only tasks of external workers can run" in b"".join(server.said)))
        self.assertEqual(server.request("GET", "/v1/models").json()["data"], [])
        refused = server.request("POST", "/v1/chat/completions", chat())
        self.assertEqual((refused.status, refused.json()["error"]["param"]), (404, "model"))
        task = server.request("POST", "/v1/tasks", {"kind": "ocr", "payload": 1}).json()
        (claimed,) = server.request("POST", "/v1/workers/claim", {
            "worker": "w", "kinds": ["ocr"]}).json()["tasks"]
        self.assertEqual(claimed["id"], task["id"])
        self.assertEqual(self.stop_server(server), 0)

    def test_a_second_server_on_the_same_store_is_refused(self):
        self.start_server(config=FAKE)
        done = self.run_inferq("serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", timeout=20)
        self.assertEqual(done.returncode, 4)
        self.assertIn("inferq-data", done.stderr.decode())

    def test_a_taken_port_is_said(self):
        server = self.start_server(config=FAKE)
        done = self.run_inferq("serve", "--listen", f"127.0.0.1:{server.port}", "--data", "other", timeout=20)
        self.assertEqual(done.returncode, 2)
        self.assertIn(str(server.port), done.stderr.decode())

    def test_beyond_loopback_needs_keys(self):
        done = self.run_inferq("serve", "--listen", "0.0.0.0:0", timeout=20)
        self.assertEqual(done.returncode, 2)
        self.assertIn("key", done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
