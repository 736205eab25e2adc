"""Compressed request bodies of `inferq serve`: taken on every route, bounded, and refused in words."""

import ctypes
import gzip
import json
import pathlib
import threading
import time
import unittest
import zlib

from harness import batch_file
from serve_harness import FAKE, MULTIPART, ServeCase

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
JSON = {"Content-Type": "application/json"}


def zstd(data):
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_compressBound.restype = library.ZSTD_compress.restype = ctypes.c_size_t
    library.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
    library.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    out = ctypes.create_string_buffer(library.ZSTD_compressBound(len(data)))
    size = library.ZSTD_compress(out, len(out), data, len(data), 3)
    return out.raw[:size]


def zeros(mebibytes):
    """So many MiB of zeros, as gzip."""
    packer = zlib.compressobj(9, wbits=31)
    packed = [packer.compress(bytes(1 << 20)) for _ in range(mebibytes)]
    return b"".join(packed) + packer.flush()


def form(data, purpose="batch"):
    head = (f'--{MULTIPART}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
            f'--{MULTIPART}\r\nContent-Disposition: form-data; name="file"; filename="input.jsonl"\r\n\r\n')
    return head.encode() + data + f"\r\n--{MULTIPART}--\r\n".encode()


FORM = {"Content-Type": f"multipart/form-data; boundary={MULTIPART}"}


def peak_memory(server):
    """The most that the process ever held, in MiB."""
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) >> 10
    return 0


class Compressed(ServeCase):
    def test_uploads_and_requests(self):
        server = self.start_server(config=FAKE)
        text = batch_file(200, max_tokens=2).encode()
        for name, packed in (("gzip", gzip.compress(form(text))), ("zstd", zstd(form(text)))):
            self.assertLess(len(packed), len(text) // 5)
            answer = server.request("POST", "/v1/files", packed, {**FORM, "Content-Encoding": name})
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(answer.json()["bytes"], len(text))
            self.assertEqual(server.content(answer.json()["id"]).body, text)
            done = server.await_batch(server.create_batch(answer.json()["id"]).json()["id"])
            self.assertEqual(done["request_counts"]["completed"], 200)
        for path, body in (("/v1/chat/completions", CHAT), ("/v1/tasks", {"kind": "ocr", "payload": 1}),
                           ("/v1/embeddings", {"model": "m", "input": "a"}),
                           ("/v1/workers/claim", {"worker": "w", "kinds": ["ocr"]})):
            plain = server.request("POST", path, body)
            packed = server.request("POST", path, gzip.compress(json.dumps(body).encode()),
                                    {**JSON, "Content-Encoding": "gzip"})
            self.assertEqual(packed.status, plain.status, (path, packed.body, plain.body))
            self.assertLess(packed.status, 300, packed.body)

    def test_what_cannot_be_read_is_told(self):
        server = self.start_server(config=FAKE)
        body = json.dumps(CHAT).encode()
        packed = gzip.compress(body)
        for encoding, data, status, said in (
                ("br", body, 415, "gzip, zstd"), ("gzip, zstd", packed, 415, "several"),
                ("gzip", body, 400, "not proper gzip"), ("gzip", packed[:-3], 400, "cut off"),
                ("zstd", zstd(body)[:-3], 400, "cut off"), ("zstd", packed, 400, "not proper zstd"),
                ("gzip", b"", 400, ""), ("gzip", packed + b"x", 400, "")):
            answer = server.request("POST", "/v1/chat/completions", data, {**JSON, "Content-Encoding": encoding})
            self.assertEqual(answer.status, status, (encoding, answer.body))
            self.assertIn(said, answer.json()["error"]["message"])
            if status == 415:
                self.assertEqual(answer.headers["accept-encoding"], "gzip, zstd")
        for data in (packed, zstd(body)):
            answer = server.upload(data)
            self.assertEqual(answer.status, 400)
            self.assertIn("Content-Encoding", answer.json()["error"]["message"])

    def test_bombs_cost_little(self):
        server = self.start_server(config="[server]\nbody_ratio = 1000000\n" + FAKE)
        before = peak_memory(server)
        bomb = zeros(256)
        self.assertLess(len(bomb), 1 << 20)
        for path in ("/v1/chat/completions", "/v1/batches", "/v1/tasks"):
            answer = server.request("POST", path, bomb, {**JSON, "Content-Encoding": "gzip"})
            self.assertEqual(answer.status, 413, answer.body)
            self.assertIn("bytes", answer.json()["error"]["message"])
        self.assertLess(peak_memory(server) - before, 200)

    def test_what_grows_too_much_is_refused(self):
        server = self.start_server(config="[server]\nbody_ratio = 100\n" + FAKE)
        answer = server.request("POST", "/v1/files", zeros(64), {**FORM, "Content-Encoding": "gzip"})
        self.assertEqual(answer.status, 413, answer.body)
        self.assertIn("100 times", answer.json()["error"]["message"])

    def test_others_are_served_while_a_large_body_is_unpacked(self):
        server = self.start_server("--server-io-threads", 1, config="[server]\nbody_ratio = 1000000\n" + FAKE)
        packer = zlib.compressobj(9, wbits=31)
        whole = form(b"\0" * (100 << 20), purpose="user_data")
        packed = packer.compress(whole) + packer.flush()
        answers = []
        upload = threading.Thread(target=lambda: answers.append(
            server.request("POST", "/v1/files", packed, {**FORM, "Content-Encoding": "gzip"})))
        upload.start()
        slowest = count = 0
        while upload.is_alive():
            begin = time.monotonic()
            self.assertEqual(server.request("GET", "/healthz").status, 200)
            slowest = max(slowest, time.monotonic() - begin)
            count += 1
        self.assertEqual(answers[0].status, 200, answers[0].body)
        self.assertGreater(count, 3)
        self.assertLess(slowest, 3)


if __name__ == "__main__":
    unittest.main()
