"""Embeddings over HTTP, in batches and in runs: a local model, the fake engine and a backend."""

import base64
import concurrent.futures
import csv
import json
import math
import struct
import subprocess
import unittest
import urllib.parse

from harness import MAKE_GGUF, wait_for
from serve_harness import FAKE, ServeCase

LOCAL = """
[[model]]
name = "local"
path = "tiny.gguf"
context = 512
threads = 1
embed_window = "{window}"
"""


def embed_line(custom_id, text, **body):
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/embeddings",
                       "body": {"model": "m", "input": text, **body}}) + "\n"


def length(vector):
    return math.sqrt(sum(value * value for value in vector))


class Embeddings(ServeCase):
    def make_model(self):
        subprocess.run([MAKE_GGUF, "--preset", "tiny", "--arch", "glm4", "--seed", "1", "--out",
                        self.path("tiny.gguf")], check=True)

    def start_local(self, window="10ms"):
        self.make_model()
        return self.start_server(config=LOCAL.format(window=window))

    def embed(self, server, text, model="local", **body):
        answer = server.request("POST", "/v1/embeddings", {"model": model, "input": text, **body})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def test_a_local_model_answers_in_openais_words(self):
        server = self.start_local()
        answer = self.embed(server, ["the queue", "keeps", "the queue"])
        self.assertEqual(answer["object"], "list")
        self.assertEqual(answer["model"], "local")
        self.assertEqual([one["index"] for one in answer["data"]], [0, 1, 2])
        self.assertEqual({one["object"] for one in answer["data"]}, {"embedding"})
        self.assertEqual(answer["usage"]["total_tokens"], answer["usage"]["prompt_tokens"])
        self.assertGreater(answer["usage"]["prompt_tokens"], 3)
        first, other, same = [one["embedding"] for one in answer["data"]]
        self.assertAlmostEqual(length(first), 1, places=4)
        for a, b in zip(first, same):
            self.assertAlmostEqual(a, b, places=3)
        self.assertNotEqual(first, other)
        packed = base64.b64decode(self.embed(server, "the queue", encoding_format="base64")["data"][0]["embedding"])
        for a, b in zip(first, struct.unpack(f"<{len(first)}f", packed)):
            self.assertAlmostEqual(a, b, places=3)
        self.assertEqual(len(self.embed(server, "a", dimensions=7)["data"][0]["embedding"]), 7)
        # Text is generated beside it.
        chat = server.request("POST", "/v1/chat/completions", {
            "model": "local", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3})
        self.assertEqual(chat.status, 200, chat.body)

    def test_errors_name_the_field(self):
        server = self.start_local()
        for body, param in [({"input": "a", "temperature": 1}, "temperature"), ({"input": ""}, "input"),
                            ({}, "input"), ({"input": ["a", "? " * 2000]}, "input[1]"),
                            ({"input": "a", "dimensions": 65}, "dimensions"),
                            ({"input": [[999999]]}, "input[0]")]:
            answer = server.request("POST", "/v1/embeddings", {"model": "local", **body})
            self.assertEqual(answer.status, 400, answer.body)
            self.assertEqual(answer.json()["error"]["param"], param)

    def count_of(self, server, name):
        port = urllib.parse.urlparse(server.admin).port
        text = server.request("GET", "/metrics", port=port).body.decode()
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))

    def micro_batches_of_eight(self, window):
        server = self.start_local(window)
        self.embed(server, "the model is loaded")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: self.embed(server, f"text {i}"), range(8)))
        return server

    def test_concurrent_requests_share_a_micro_batch(self):
        server = self.micro_batches_of_eight("1s")
        self.assertTrue(wait_for(lambda: self.count_of(server, "inferq_engine_micro_batched_total{") == 9, 30))
        self.assertEqual(self.count_of(server, "inferq_engine_micro_batches_total{"), 2)

    def test_without_a_window_they_do_not(self):
        server = self.micro_batches_of_eight("0ms")
        self.assertTrue(wait_for(lambda: self.count_of(server, "inferq_engine_micro_batched_total{") == 9, 30))
        self.assertEqual(self.count_of(server, "inferq_engine_micro_batches_total{"), 9)

    def test_the_cache_of_a_model_is_in_the_metrics(self):
        self.make_model()
        server = self.start_server(config=LOCAL.format(window="10ms") + 'cache = "shared"\nconcurrency = 2\n')
        answer = server.request("POST", "/v1/completions", {"model": "local", "prompt": "the queue keeps", "max_tokens": 4})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertTrue(wait_for(lambda: self.count_of(server, "inferq_engine_kv_tokens{") >= 2 * 512, 30))
        self.assertGreater(self.count_of(server, "inferq_engine_kv_used_tokens{"), 0)
        self.assertEqual(self.count_of(server, "inferq_engine_pauses_total{"), 0)

    def test_a_batch_embeds(self):
        server = self.start_local()
        text = "".join(embed_line(f"id-{i}", f"text {i}", model="local") for i in range(40))
        text += embed_line("long", "? " * 2000, model="local")
        file = server.upload(text).json()
        made = server.create_batch(file["id"], endpoint="/v1/embeddings").json()
        self.assertEqual(made["endpoint"], "/v1/embeddings")
        batch = server.await_batch(made["id"])
        self.assertEqual(batch["request_counts"], {"total": 41, "completed": 40, "failed": 1})
        results = server.results(batch)
        vectors = {one["custom_id"]: one["response"]["body"] for one in results if one["custom_id"] != "long"}
        self.assertEqual(len(vectors), 40)
        self.assertEqual({body["object"] for body in vectors.values()}, {"list"})
        tokens = sum(body["usage"]["prompt_tokens"] for body in vectors.values())
        self.assertEqual(batch["usage"]["input_tokens"], tokens)
        self.assertEqual(batch["usage"]["output_tokens"], 0)
        alone = self.embed(server, "text 7")["data"][0]["embedding"]
        for a, b in zip(alone, vectors["id-7"]["data"][0]["embedding"]):
            self.assertAlmostEqual(a, b, places=3)
        failed = next(one for one in results if one["custom_id"] == "long")
        self.assertEqual(failed["response"]["status_code"], 400)
        self.assertEqual(failed["response"]["body"]["error"]["param"], "body.input[0]")

    def test_a_batch_of_another_endpoint_is_refused(self):
        server = self.start_server(config=FAKE)
        file = server.upload(embed_line("a", "x")).json()
        batch = server.await_batch(server.create_batch(file["id"]).json()["id"])
        self.assertEqual(batch["status"], "failed")

    def test_a_run_embeds(self):
        self.make_model()
        self.write("in.jsonl", "".join(embed_line(f"id-{i}", [f"text {i}", "two"]) for i in range(20)))
        done = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", "--model", "tiny.gguf", "--threads", "1")
        self.assert_exit(done, 0)
        self.assert_each_once([f"id-{i}" for i in range(20)], "out.jsonl")
        for line in self.lines("out.jsonl"):
            self.assertEqual([len(one["embedding"]) for one in line["response"]["body"]["data"]], [64, 64])

    def test_a_run_may_choose_how(self):
        self.make_model()
        self.write("in.jsonl", embed_line("a", "red apples and green pears"))

        def vector(*flags):
            done = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", "--restart", "--model", "tiny.gguf", "--threads", "1",
                                   *flags)
            self.assert_exit(done, 0)
            return self.lines("out.jsonl")[0]["response"]["body"]["data"][0]["embedding"]
        mean, last, long = vector(), vector("--pooling", "last"), vector("--no-normalize")
        self.assertNotEqual(mean, last)
        self.assertNotAlmostEqual(length(long), 1, places=2)
        for a, b in zip(mean, long):
            self.assertAlmostEqual(a, b / length(long), places=4)
        refused = self.run_inferq("run", "in.jsonl", "-o", "few.jsonl", "--model", "tiny.gguf", "--embed-tokens", "2")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("input", self.lines("few.errors.jsonl")[0]["response"]["body"]["error"]["param"])

    def test_rows_are_embedded_into_a_csv(self):
        self.write("in.csv", "id,text\na,the queue\nb,keeps\n")
        done = self.run_inferq("run", "in.csv", "-o", "out.csv", "--format", "csv", "--engine", "fake",
                               "--endpoint", "embeddings", "--body", '{"dimensions":3}')
        self.assert_exit(done, 0)
        with open(self.path("out.csv"), newline="") as file:
            rows = {row["id"]: row for row in csv.DictReader(file)}
        self.assertEqual(set(rows), {"a", "b"})
        self.assertAlmostEqual(length(json.loads(rows["a"]["output"])), 1, places=4)
        self.assertEqual(len(json.loads(rows["b"]["output"])), 3)
        self.assertEqual(rows["a"]["completion_tokens"], "0")
        refused = self.run_inferq("run", "in.csv", "-o", "o", "--engine", "fake", "--endpoint", "embeddings",
                                  "--max-tokens", "3")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("max_tokens", refused.stderr.decode())

    def test_a_backend_gets_and_gives_it_untouched(self):
        behind = self.start_server("--data", "behind", config=FAKE)
        front = self.start_server("--data", "front", config=f"""
[[model]]
name = "m"
url = "http://{behind.host}:{behind.port}/v1"
""")
        body = {"model": "m", "input": ["a", "b"], "encoding_format": "base64"}
        through = front.request("POST", "/v1/embeddings", body)
        direct = behind.request("POST", "/v1/embeddings", body)
        self.assertEqual(through.status, 200, through.body)
        self.assertEqual(through.body, direct.body)
        wrong = front.request("POST", "/v1/embeddings", {"model": "m", "input": "a", "top_k": 1})
        self.assertEqual(wrong.status, 400)
        self.assertEqual(wrong.json()["error"]["param"], "top_k")


if __name__ == "__main__":
    unittest.main()
