"""Images that requests name by their hash: kept once, put into requests for backends, and safe from kills."""

import base64
import hashlib
import json
import os
import pathlib
import signal
import unittest

from backend_test import Backend
from harness import wait_for
from serve_harness import MULTIPART, ServeCase

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 10


def chat(body):
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "seen"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}


def blob_id(data):
    return "blob:sha256:" + hashlib.sha256(data).hexdigest()


def data_url(kind, data):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def messages(*urls):
    return [{"role": "user", "content": [{"type": "text", "text": "what is it?"}] + [
        {"type": "image_url", "image_url": {"url": url, "detail": "low"}} for url in urls]}]


def line(custom_id, *urls):
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions",
                       "body": {"model": "m", "messages": messages(*urls)}}) + "\n"


class Blobs(ServeCase):
    def start_with_backend(self, answer=None, more=""):
        self.backend = Backend(answer or (lambda body, n: chat(body)))
        self.addCleanup(self.backend.stop)
        self.config = f'{more}\n[[model]]\nname = "m"\nurl = "http://127.0.0.1:{self.backend.port}/v1"\n'
        return self.start_server(config=self.config)

    def put(self, server, data, headers=None, path="/v1/blobs"):
        return server.request("POST", path, data, headers or {"Content-Type": "application/octet-stream"})

    def seen(self):
        """URLs of the images that the backend was shown."""
        return [part["image_url"]["url"] for _, body in self.backend.requests
                for part in json.loads(body)["messages"][0]["content"] if part["type"] == "image_url"]

    def test_kept_once_found_and_deleted(self):
        server = self.start_with_backend()
        made = self.put(server, PNG).json()
        self.assertEqual((made["id"], made["object"], made["bytes"]), (blob_id(PNG), "blob", len(PNG)))
        self.assertEqual(self.put(server, PNG).json(), made)
        form = (f'--{MULTIPART}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n').encode()
        formed = self.put(server, form + JPEG + f"\r\n--{MULTIPART}--\r\n".encode(),
                          {"Content-Type": f"multipart/form-data; boundary={MULTIPART}"})
        self.assertEqual(formed.json()["id"], blob_id(JPEG))
        stored = list(pathlib.Path(self.dir, "inferq-data/blobs").glob("*.blob"))
        self.assertEqual(len(stored), 2, stored)
        self.assertEqual(server.request("GET", f"/v1/blobs/{made['id']}").json(), made)
        self.assertEqual(server.request("HEAD", f"/v1/blobs/{made['id']}").status, 200)
        self.assertEqual(server.request("GET", f"/t/ann/v1/blobs/{made['id']}").status, 404)
        self.assertEqual([one["id"] for one in server.request("GET", "/v1/blobs").json()["data"]],
                         [blob_id(JPEG), blob_id(PNG)])
        self.assertEqual(server.request("GET", "/v1/files").json()["data"], [])
        self.assertTrue(server.request("DELETE", f"/v1/blobs/{made['id']}").json()["deleted"])
        self.assertEqual(server.request("GET", f"/v1/blobs/{made['id']}").status, 404)
        self.assertEqual(self.put(server, b"<svg/>").status, 400)

    def test_requests_of_every_kind_show_them(self):
        server = self.start_with_backend()
        for data in (PNG, JPEG):
            self.put(server, data)
        body = {"model": "m", "messages": messages(blob_id(PNG), "https://a.example/b.png")}
        answer = server.request("POST", "/v1/chat/completions", body)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.seen(), [data_url("png", PNG), "https://a.example/b.png"])
        self.backend.requests.clear()
        task = server.request("POST", "/v1/tasks", {"endpoint": "/v1/chat/completions", "body": body}).json()
        self.assertTrue(wait_for(
            lambda: server.request("GET", f"/v1/tasks/{task['id']}").json()["status"] == "succeeded"))
        self.assertEqual(self.seen(), [data_url("png", PNG), "https://a.example/b.png"])
        self.backend.requests.clear()
        file = server.upload(line("a", blob_id(JPEG), blob_id(PNG)) + line("b", blob_id(JPEG))).json()
        done = server.await_batch(server.create_batch(file["id"]).json()["id"])
        self.assertEqual(done["request_counts"]["completed"], 2, server.results(done))
        self.assertEqual(sorted(self.seen()), sorted([data_url("jpeg", JPEG)] * 2 + [data_url("png", PNG)]))

    def test_missing_ones_are_named(self):
        server = self.start_with_backend()
        self.put(server, PNG)
        answer = server.request("POST", "/v1/chat/completions",
                                {"model": "m", "messages": messages(blob_id(PNG), blob_id(b"none"))})
        self.assertEqual(answer.status, 400, answer.body)
        self.assertIn(blob_id(b"none"), answer.json()["error"]["message"])
        file = server.upload(line("a", blob_id(PNG)) + line("b", blob_id(b"none")) + line("c", "blob:sha256:x")).json()
        done = server.await_batch(server.create_batch(file["id"]).json()["id"])
        self.assertEqual(done["status"], "failed")
        self.assertEqual([(one["code"], one["param"], one["line"]) for one in done["errors"]["data"]],
                         [("blob_not_found", "body.messages", 2), ("blob_not_found", "body.messages", 3)])
        self.assertEqual(self.backend.requests, [])

    def test_a_live_batch_keeps_them_through_a_kill(self):
        busy = lambda body, n: (503, {}, {"error": {"message": "busy"}})
        server = self.start_with_backend(busy, more="[batch]\nmax_attempts = 100")
        self.put(server, PNG)
        file = server.upload(line("a", blob_id(PNG))).json()
        batch = server.create_batch(file["id"]).json()
        self.assertTrue(wait_for(lambda: self.backend.requests))
        refused = server.request("DELETE", f"/v1/blobs/{blob_id(PNG)}")
        self.assertEqual(refused.status, 409)
        self.assertIn(batch["id"], refused.json()["error"]["message"])
        self.assertEqual(refused.headers["x-should-retry"], "false")
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        self.backend.answer = lambda body, n: chat(body)
        self.backend.requests.clear()
        server = self.start_server(config=self.config)
        done = server.await_batch(batch["id"])
        self.assertEqual(done["request_counts"]["completed"], 1)
        self.assertEqual(self.seen(), [data_url("png", PNG)])
        self.assertEqual(server.request("DELETE", f"/v1/blobs/{blob_id(PNG)}").status, 200)

    def test_limits_answer(self):
        server = self.start_with_backend(more='[blobs]\nmax_count = 2\nmax_bytes = "20KiB"')
        self.assertEqual(self.put(server, PNG).status, 200)
        self.assertEqual(self.put(server, PNG + b"more").status, 429)
        self.assertEqual(self.put(server, JPEG).status, 200)
        answer = self.put(server, JPEG + b"more")
        self.assertEqual(answer.status, 429)
        self.assertIn("blobs.max_count", answer.json()["error"]["message"])
        self.assertEqual(self.put(server, JPEG + b"more", path="/t/ann/v1/blobs").status, 200)


if __name__ == "__main__":
    unittest.main()
