"""Webhooks of `inferq serve`: signed, durable, repeated, and kept from private addresses."""

import base64
import http.server
import json
import os
import signal
import ssl
import subprocess
import threading
import unittest

from harness import batch_file, batch_line, wait_for
from openai_client_test import SUITE, nodes
from serve_harness import FAKE, ServeCase

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()
OTHER = "whsec_" + base64.b64encode(b"another one of thirty-two bytes.").decode()
UNWRAP = SUITE.with_name("openai_webhooks.mjs")


class Endpoint:
    """A server that keeps what is posted to it and answers with `status`."""

    def __init__(self, case, status=200, tls=None, location=None):
        self.posts = []
        self.status = status
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                endpoint.posts.append({"path": self.path, "body": body, "headers": {
                    name.lower(): value for name, value in self.headers.items()}})
                self.send_response(endpoint.status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        case.addCleanup(self.close)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def events(self):
        return [json.loads(post["body"]) for post in self.posts]


def hook(url, more=""):
    return f'\n[[webhook]]\nurl = "{url}"\nsecret_env = "HOOK_SECRET"\n{more}\n'


PRIVATE = "\n[webhooks]\nallow_private = true\n"


class Webhooks(ServeCase):
    def serve(self, hooks, more=PRIVATE, env=None, model=FAKE, **options):
        config = more + model + hooks
        return self.start_server(config=config, env={**os.environ, "HOOK_SECRET": SECRET, **(env or {})}, **options)

    def run_batch(self, server, text=None, headers=None):
        file = server.upload(text or batch_file(3, max_tokens=2), headers=headers).json()
        return server.await_batch(server.create_batch(file["id"], headers).json()["id"], headers=headers)

    def deliveries(self, server, headers=None):
        return server.request("GET", "/v1/webhooks/deliveries", headers=headers).json()["data"]

    def first(self, server, key):
        """Of the newest delivery; None while there is none."""
        return next((one[key] for one in self.deliveries(server)), None)

    def test_the_official_client_verifies_every_event(self):
        endpoint = Endpoint(self)
        server = self.serve(hook(f"http://127.0.0.1:{endpoint.port}/hook?token=x"),
                            more=PRIVATE + '\n[batch]\nwindows = ["24h", "1m"]\n')
        done = self.run_batch(server)
        failed = self.run_batch(server, batch_line("a", "x", model="none") + "\n")
        file = server.upload(batch_file(20_000, max_tokens=50)).json()
        cancelled = server.create_batch(file["id"]).json()
        server.request("POST", f"/v1/batches/{cancelled['id']}/cancel")
        self.assertEqual(server.await_batch(cancelled["id"])["status"], "cancelled")
        self.assertTrue(wait_for(lambda: len(endpoint.posts) == 3), endpoint.posts)
        self.assertEqual(endpoint.posts[0]["path"], "/hook?token=x")
        self.assertEqual(endpoint.posts[0]["headers"]["content-type"], "application/json")
        for node in nodes():
            said = subprocess.run([node, UNWRAP, SECRET, OTHER], text=True, capture_output=True, timeout=60, check=False,
                                  input="".join(json.dumps(post) + "\n" for post in endpoint.posts))
            self.assertEqual(said.returncode, 0, said.stderr)
            self.assertEqual(sorted(said.stdout.split()[1::3]), ["batch.cancelled", "batch.completed", "batch.failed"])
            self.assertEqual(set(said.stdout.split()[2::3]), {done["id"], failed["id"], cancelled["id"]})
        self.assertTrue(wait_for(lambda: {one["status"] for one in self.deliveries(server)} == {"delivered"}))
        log = self.deliveries(server)
        self.assertEqual([one["batch_id"] for one in log], [cancelled["id"], failed["id"], done["id"]])
        self.assertEqual(log[2]["url"], f"http://127.0.0.1:{endpoint.port}/hook")
        self.assertEqual(log[2]["last_status_code"], 200)
        self.assertNotIn(SECRET, b"".join(server.log).decode() + json.dumps(log))

    def test_a_failing_endpoint_is_tried_again_with_the_same_id(self):
        endpoint = Endpoint(self, status=503)
        server = self.serve(hook(f"http://127.0.0.1:{endpoint.port}/"))
        done = self.run_batch(server)
        self.assertTrue(wait_for(lambda: len(endpoint.posts) >= 2))
        pending = self.deliveries(server)[0]
        self.assertEqual((pending["status"], pending["last_error"]), ("pending", "answered 503"))
        self.assertGreater(pending["next_attempt_at"], done["completed_at"])
        endpoint.status = 200
        self.assertTrue(wait_for(lambda: self.first(server, "status") == "delivered"))
        self.assertEqual(len({post["headers"]["webhook-id"] for post in endpoint.posts}), 1)
        self.assertEqual(self.deliveries(server)[0]["attempts"], len(endpoint.posts))

    def test_a_killed_server_delivers_after_its_next_start(self):
        endpoint = Endpoint(self, status=500)
        hooks = hook(f"http://127.0.0.1:{endpoint.port}/")
        server = self.serve(hooks)
        batches = {self.run_batch(server)["id"] for _ in range(3)}
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        endpoint.posts.clear()
        endpoint.status = 200
        server = self.serve(hooks)
        self.assertTrue(wait_for(lambda: len(endpoint.posts) >= 3))
        self.assertEqual({event["data"]["id"] for event in endpoint.events()}, batches)
        self.assertTrue(wait_for(lambda: {one["status"] for one in self.deliveries(server)} == {"delivered"}))
        self.assertEqual(self.stop_server(server), 0)

    def test_private_addresses_are_refused_unless_allowed(self):
        endpoint = Endpoint(self)
        names = ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0.0.0.0"]
        server = self.serve("".join(hook(f"http://{name}:{endpoint.port}/") for name in names), more="")
        self.run_batch(server)
        tried = wait_for(lambda: [one["attempts"] > 0 for one in self.deliveries(server)] == [True] * len(names))
        self.assertTrue(tried, self.deliveries(server))
        for one in self.deliveries(server):
            self.assertEqual(one["status"], "pending", one)
        self.assertIn("not one of the public internet", json.dumps(self.deliveries(server)))
        self.assertEqual(endpoint.posts, [])

    def test_redirects_are_not_followed(self):
        inside = Endpoint(self)
        endpoint = Endpoint(self, status=307, location=f"http://127.0.0.1:{inside.port}/")
        server = self.serve(hook(f"http://127.0.0.1:{endpoint.port}/"))
        self.run_batch(server)
        self.assertTrue(wait_for(lambda: "redirects" in (self.first(server, "last_error") or "")))
        self.assertEqual(inside.posts, [])

    def test_over_tls(self):
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=a",
             "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"],
            cwd=self.dir, capture_output=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        both = self.write("both.pem", self.path("key.pem").read_bytes() + self.path("cert.pem").read_bytes())
        endpoint = Endpoint(self, tls=self.path(both))
        hooks = hook(f"https://127.0.0.1:{endpoint.port}/")
        server = self.serve(hooks)
        self.run_batch(server)
        self.assertTrue(wait_for(lambda: self.first(server, "last_error")))
        self.assertIn("not trusted", self.deliveries(server)[0]["last_error"])
        self.assertEqual(self.stop_server(server), 0)
        server = self.serve(hooks, env={"SSL_CERT_FILE": str(self.path("cert.pem"))})
        self.assertTrue(wait_for(lambda: endpoint.posts))

    def test_a_tenant_sees_its_own(self):
        endpoint = Endpoint(self)
        server = self.serve(hook(f"http://127.0.0.1:{endpoint.port}/", 'tenant = "ann"\nevents = ["batch.failed"]'))
        self.run_batch(server)  # of tenant default
        lines = batch_line("a", "x", model="none") + "\n"
        file = server.request("POST", "/t/ann/v1/batches", {
            "input_file_id": "file-none", "endpoint": "/v1/chat/completions", "completion_window": "24h"}).json()
        self.assertTrue(wait_for(lambda: endpoint.posts))
        self.assertEqual(endpoint.events()[0]["data"]["id"], file["id"])
        self.run_batch(server, lines)
        self.assertEqual(self.deliveries(server), [])
        mine = server.request("GET", "/t/ann/v1/webhooks/deliveries").json()["data"]
        self.assertEqual([one["type"] for one in mine], ["batch.failed"])


if __name__ == "__main__":
    unittest.main()
