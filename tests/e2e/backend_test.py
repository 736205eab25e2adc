"""`inferq run --backend` against a real HTTP server that behaves as OpenAI-compatible ones do, and misbehaves."""

import json
import signal
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness import Case, batch_file, batch_line, wait_for


class Backend:
    """An OpenAI-compatible server on a free port. `answer(body, n)` decides: a dict is a 200, (status, headers, dict)
    anything else, None cuts the connection; n counts the requests."""

    def __init__(self, answer, key=None, port=0):
        self.answer, self.key = answer, key
        self.requests, self.lock = [], threading.Lock()
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.reply(200, {}, {"object": "list", "data": [{"id": "m", "object": "model"}]})

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if backend.key and self.headers.get("Authorization") != f"Bearer {backend.key}":
                    return self.reply(401, {}, {"error": {"message": "Incorrect API key", "type": "x", "code": "y"}})
                with backend.lock:
                    backend.requests.append((self.path, body))
                    n = len(backend.requests)
                answer = backend.answer(json.loads(body), n)
                if answer is None:
                    self.close_connection = True
                    return self.connection.shutdown(2)
                return self.reply(*(answer if isinstance(answer, tuple) else (200, {}, answer)))

            def reply(self, status, headers, value):
                data = json.dumps(value).encode()
                self.send_response(status)
                for name, text in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def port(self):
        return self.server.server_address[1]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.server.cut_connections()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.connections = []

    def process_request(self, request, client_address):
        self.connections.append(request)
        super().process_request(request, client_address)

    def cut_connections(self):
        """Ends those that are open: a server that stops only listening still serves them."""
        for connection in self.connections:
            try:
                connection.shutdown(2)
            except OSError:
                pass  # closed already

    def handle_error(self, request, client_address):
        pass  # clients that go away are part of the tests


def chat_answer(body, _=None):
    text = "echo " + body["messages"][-1]["content"]
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"], "x_extra": 7,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}


class WithBackend(Case):
    def serve(self, answer, **options):
        backend = Backend(answer, **options)
        self.addCleanup(backend.stop)
        return backend

    def arguments(self, port, *more):
        return ("run", "in.jsonl", "-o", "out.jsonl", "--backend", f"http://127.0.0.1:{port}", *more)

    def ids(self, count):
        return [f"id-{i}" for i in range(count)]

    def test_bodies_go_there_untouched_and_answers_come_back_whole(self):
        backend = self.serve(chat_answer, key="secret-7")
        self.write("in.jsonl", batch_line("a", "你好", zz_unknown=7).replace("7", "[1, 2.50]") + "\n")
        done = self.run_inferq(*self.arguments(backend.port), env={"INFERQ_API_KEY": "secret-7"})
        self.assert_exit(done, 0)
        path, body = backend.requests[0]
        self.assertEqual(path, "/v1/chat/completions")
        self.assertIn(b"2.50", body)
        answer = self.lines("out.jsonl")[0]["response"]["body"]
        self.assertEqual(answer["choices"][0]["message"]["content"], "echo 你好")
        self.assertEqual(answer["x_extra"], 7)
        self.assertIn("3 in, 2 out", done.stderr.decode())

    def test_a_wrong_key_stops_the_run_and_is_not_shown(self):
        backend = self.serve(chat_answer, key="right")
        self.write("in.jsonl", batch_file(20))
        self.write("key", "wrong-secret\n")
        done = self.run_inferq(*self.arguments(backend.port, "--api-key-file", "key"))
        self.assert_exit(done, 3)
        self.assertNotIn(b"wrong-secret", done.stderr)
        self.write("key", "right\n")
        self.assert_exit(self.run_inferq(*self.arguments(backend.port, "--api-key-file", "key")), 0)
        self.assert_each_once(self.ids(20), "out.jsonl")

    def test_errors_that_pass_are_tried_again(self):
        def flaky(body, n):
            if n % 5 == 1:
                return 500, {}, {"error": {"message": "oops"}}
            if n % 5 == 2:
                return 429, {"Retry-After": "0"}, {"error": {"message": "slow down"}}
            return None if n % 5 == 3 else chat_answer(body)

        backend = self.serve(flaky)
        self.write("in.jsonl", batch_file(8))
        done = self.run_inferq(*self.arguments(backend.port, "--max-attempts", 50, "--concurrency", 4), timeout=300)
        self.assert_exit(done, 0)
        self.assert_each_once(self.ids(8), "out.jsonl")

    def test_a_refused_request_fails_alone_with_the_backends_words(self):
        def refuse_one(body, _):
            if "question 3" in body["messages"][0]["content"]:
                return 400, {}, {"error": {"message": "too rude", "type": "invalid_request_error",
                                           "param": "messages", "code": None}}
            return chat_answer(body)

        backend = self.serve(refuse_one)
        self.write("in.jsonl", batch_file(5))
        self.assert_exit(self.run_inferq(*self.arguments(backend.port)), 1)
        error = self.lines("out.errors.jsonl")
        self.assertEqual([line["custom_id"] for line in error], ["id-3"])
        self.assertEqual(error[0]["response"]["status_code"], 400)
        self.assertIn("too rude", error[0]["response"]["body"]["error"]["message"])

    def test_a_backend_that_goes_away_and_comes_back_costs_nothing(self):
        served = threading.Event()

        def slow_start(body, n):
            if n >= 20:
                served.set()
            return chat_answer(body)

        backend = Backend(slow_start)
        self.write("in.jsonl", batch_file(600))
        process = self.start_inferq(*self.arguments(backend.port, "--concurrency", 4, "--max-attempts", 2))
        self.assertTrue(served.wait(60))
        backend.stop()
        wait_for(lambda: False, timeout=1.0)
        again = self.serve(chat_answer, port=backend.port)
        _, stderr = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, stderr)
        self.assertGreater(len(again.requests), 0)
        self.assert_each_once(self.ids(600), "out.jsonl")

    def test_a_backend_that_stays_away_ends_the_run_which_can_go_on(self):
        backend = Backend(lambda body, n: chat_answer(body) if n <= 20 else None)
        self.write("in.jsonl", batch_file(200))
        arguments = self.arguments(backend.port, "--concurrency", 2)
        process = self.start_inferq(*arguments, "--give-up-after", 1)
        self.assertTrue(wait_for(lambda: len(backend.requests) > 20))
        backend.stop()
        _, stderr = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 3, stderr)
        self.assertIn(str(backend.port), stderr.decode())
        done_before = len(self.lines("out.jsonl"))
        self.assertGreater(done_before, 0)
        self.serve(chat_answer, port=backend.port)
        done = self.run_inferq(*arguments, "--retry-failed")
        self.assert_exit(done, 0)
        self.assert_each_once(self.ids(200), "out.jsonl")

    def test_ctrl_c_cuts_what_does_not_finish_in_the_grace(self):
        release = threading.Event()
        self.addCleanup(release.set)

        def hang(body, n):
            if n > 5:
                release.wait(60)
            return chat_answer(body)

        backend = self.serve(hang)
        self.write("in.jsonl", batch_file(20))
        process = self.start_inferq(*self.arguments(backend.port, "--grace", 1, "--concurrency", 2))
        self.assertTrue(wait_for(lambda: len(backend.requests) >= 7))
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130, stderr)
        release.set()
        self.assert_exit(self.run_inferq(*self.arguments(backend.port, "--concurrency", 2)), 0)
        self.assert_each_once(self.ids(20), "out.jsonl")


if __name__ == "__main__":
    unittest.main()
