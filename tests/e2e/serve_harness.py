"""Runs `inferq serve` the way an operator does, and talks to it over HTTP.

Every answer is held against docs/api/openapi.yaml (description.py)."""

import http.client
import json
import re
import subprocess
import threading
import time
import urllib.parse

import description
from harness import INFERQ, Case, kill, wait_for
from watching_proxy import WatchingProxy

MULTIPART = "inferq-e2e-boundary"


class Answer:
    """Status, headers (lower case) and body of a response."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    def json(self):
        return json.loads(self.body)


class Server:
    """One process of `inferq serve`."""

    def __init__(self, process, url, admin):
        self.process = process
        self.url = url
        self.admin = admin
        self.host, self.port = urllib.parse.urlparse(url).hostname, urllib.parse.urlparse(url).port

    def request(self, method, path, body=None, headers=None, timeout=60, port=None):
        connection = http.client.HTTPConnection(self.host, port or self.port, timeout=timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body)
                headers = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()
        if port is None:  # the operators' address is not described
            description.of_server().check(method, path, body, answer.status, answer.headers, answer.body)
        return answer

    def upload(self, text, purpose="batch", filename="input.jsonl", headers=None):
        data = text if isinstance(text, bytes) else text.encode()
        head = (f'--{MULTIPART}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
                f'--{MULTIPART}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n").encode()
        tail = f"\r\n--{MULTIPART}--\r\n".encode()
        return self.request("POST", "/v1/files", head + data + tail, {
            "Content-Type": f"multipart/form-data; boundary={MULTIPART}", **(headers or {})})

    def create_batch(self, file_id, headers=None, **more):
        return self.request("POST", "/v1/batches", {
            "input_file_id": file_id, "endpoint": "/v1/chat/completions",
            "completion_window": "24h", **more}, headers)

    def batch(self, batch_id, headers=None):
        return self.request("GET", f"/v1/batches/{batch_id}", headers=headers).json()

    def await_batch(self, batch_id, timeout=120, headers=None):
        """Polls until the batch has ended."""
        final = ("completed", "failed", "expired", "cancelled")
        end = time.monotonic() + timeout
        while True:
            batch = self.batch(batch_id, headers)
            if batch["status"] in final:
                return batch
            if time.monotonic() > end:
                raise AssertionError(f"the batch does not end: {batch}")
            time.sleep(0.05)

    def content(self, file_id, headers=None):
        return self.request("GET", f"/v1/files/{file_id}/content", headers=headers)

    def results(self, batch, headers=None):
        """The lines of both files of a batch, parsed."""
        lines = []
        for key in ("output_file_id", "error_file_id"):
            if batch[key]:
                text = self.content(batch[key], headers).body.decode()
                assert text.endswith("\n"), f"{key} ends in a torn line"
                lines += [json.loads(line) for line in text.splitlines()]
        return lines


class ServeCase(Case):
    """A test with servers; `self.dir` is their working directory, so stores are in it."""

    def start_server(self, *arguments, config=None, env=None, ready=True):
        """Starts `inferq serve` on free ports and waits until it is ready."""
        if config is not None:
            self.write("inferq.toml", config)
        process = subprocess.Popen(
            [INFERQ, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
             *map(str, arguments)],
            cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, env=env)
        self.addCleanup(kill, process)
        log = []
        threading.Thread(target=lambda: log.extend(process.stderr), daemon=True).start()
        url = admin = None
        for raw in process.stdout:
            line = raw.decode()
            if match := re.search(r"serves (http://\S+)", line):
                url = match.group(1)
            if match := re.search(r"admin\S*\s+(http://\S+)", line):
                admin = match.group(1)
            if url and admin:
                break
        if not url:
            process.wait(timeout=10)
            raise AssertionError(f"it does not start: {b''.join(log).decode(errors='replace')}")
        server = Server(process, url, admin)
        server.log, server.said = log, []
        threading.Thread(target=lambda: server.said.extend(process.stdout), daemon=True).start()
        if ready:
            self.assertTrue(wait_for(lambda: server.request("GET", "/readyz").status == 200),
                            "it does not get ready")
        return server

    def watched(self, server, path="/v1"):
        """The server's base URL for clients that are not this one. What does not fit the description fails the test at
        its end."""
        proxy = WatchingProxy(server.port)
        self.addCleanup(lambda: self.assertEqual(proxy.problems, []))
        self.addCleanup(proxy.close)
        return f"http://127.0.0.1:{proxy.port}{path}"

    def stop_server(self, server, timeout=60):
        """SIGTERM, and the exit code."""
        server.process.terminate()
        return server.process.wait(timeout=timeout)


FAKE = """
[[model]]
name = "m"
fake = true
ttft = "5ms"
itl = "1ms"
concurrency = 16
"""
