"""`inferq model` and adapters, on the real binary with random models."""

import concurrent.futures
import json
import pathlib
import signal
import struct
import subprocess
import time
import unittest

from corrupt_gguf import mutate
from harness import MAKE_GGUF, Case, batch_file, children_of, wait_for
from serve_harness import ServeCase


def make_gguf(*arguments):
    subprocess.run([MAKE_GGUF, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def make_tiny(path, arch="glm4", seed=1):
    make_gguf("--preset", "tiny", "--arch", arch, "--seed", seed, "--out", path)


def make_adapter(path, model, seed=1):
    make_gguf("--lora-for", model, "--seed", seed, "--out", path)


@unittest.skipUnless(MAKE_GGUF.exists(), "built without the local engine")
class Inspect(Case):
    def setUp(self):
        super().setUp()
        make_tiny(self.path("tiny.gguf"))

    def test_it_says_what_the_file_holds(self):
        done = self.run_inferq("model", "inspect", "tiny.gguf")
        self.assert_exit(done, 0)
        text = done.stdout.decode()
        for part in ("inferq random glm4 seed 1", "glm4", "F16", "layers", "gpt2, glm4", "sequences that fit",
                     "slots of 2,048 tokens"):
            self.assertIn(part, text)

    def test_json_has_the_figures(self):
        done = self.run_inferq("model", "inspect", "tiny.gguf", "--json", "--context", 1024)
        self.assert_exit(done, 0)
        facts = json.loads(done.stdout)
        self.assertEqual(facts["architecture"], "glm4")
        self.assertEqual((facts["layers"], facts["width"], facts["heads"], facts["kv_heads"]), (2, 64, 4, 2))
        self.assertEqual(facts["kv_bytes_per_token"], 2 * 2 * (16 + 16) * 2)
        self.assertEqual(facts["file_bytes"], self.path("tiny.gguf").stat().st_size)
        self.assertEqual(facts["fit"]["context_tokens"], 1024)
        self.assertEqual(facts["fit"]["sequence_bytes"], 1024 * facts["kv_bytes_per_token"])
        self.assertGreater(facts["fit"]["sequences"], 0)
        self.assertTrue(facts["has_chat_template"])
        self.assertNotIn("chat_template", facts)

    def test_the_template_alone(self):
        done = self.run_inferq("model", "inspect", "tiny.gguf", "--template")
        self.assert_exit(done, 0)
        self.assertIn(b"<|assistant|>", done.stdout)
        facts = json.loads(self.run_inferq("model", "inspect", "tiny.gguf", "--template", "--json").stdout)
        self.assertEqual(facts["chat_template"].encode(), done.stdout)

    def test_an_unfinished_download_is_told_what_is_missing(self):
        data = self.path("tiny.gguf").read_bytes()
        self.write("short.gguf", data[:-5000])
        done = self.run_inferq("model", "inspect", "short.gguf")
        self.assert_exit(done, 2)
        self.assertIn("short.gguf is 5000 bytes short", done.stderr.decode())
        self.assertIn("download it again", done.stderr.decode())
        # The same words from a run, before any engine is started.
        self.write("in.jsonl", batch_file(1))
        done = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", "--model", "short.gguf")
        self.assert_exit(done, 3)
        self.assertIn("5000 bytes short", done.stderr.decode())

    def test_wrong_files_are_sentences(self):
        self.write("text.gguf", "hello, this is no model at all")
        for name, words in (("none.gguf", "does not exist"), ("text.gguf", "not a GGUF"), (".", "is a directory"),
                            ("/dev/null", "not a regular file")):
            done = self.run_inferq("model", "inspect", name)
            self.assert_exit(done, 2)
            self.assertIn(words, done.stderr.decode())

    def test_damaged_files_end_with_an_answer_and_little_memory(self):
        good = self.path("tiny.gguf").read_bytes()
        for seed in range(40):
            damaged, what = mutate(good, seed)
            self.write("damaged.gguf", damaged)
            done = self.run_inferq("model", "inspect", "damaged.gguf", "--json", timeout=20)
            self.assertIn(done.returncode, (0, 2), f"{what}: {done.stderr}")
            if done.returncode == 2:
                self.assertIn("damaged.gguf", done.stderr.decode(), what)

    def test_a_count_of_billions_costs_nothing(self):
        self.write("greedy.gguf", b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" +
                   struct.pack("<IIQ", 9, 8, 2**60))
        begin = time.monotonic()
        done = self.run_inferq("model", "inspect", "greedy.gguf", timeout=20)
        self.assert_exit(done, 2)
        self.assertIn("key 'k'", done.stderr.decode())
        self.assertLess(time.monotonic() - begin, 10)

    def test_list_shows_what_the_server_would_find(self):
        (self.dir / "models").mkdir()
        make_tiny(self.path("models/a.gguf"))
        make_tiny(self.path("models/b.gguf"), "llama", 2)
        data = self.path("models/a.gguf").read_bytes()
        self.write("models/broken.gguf", data[:-100])
        done = self.run_inferq("model", "list")
        self.assert_exit(done, 0)
        lines = done.stdout.decode().splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["MODEL", "a", "b", "broken"])
        self.assertIn("llama, ", lines[2])
        self.assertIn("100 bytes short", lines[3])
        objects = [json.loads(line) for line in self.run_inferq("model", "list", "models", "--json").stdout.splitlines()]
        self.assertEqual([o.get("architecture") for o in objects], ["glm4", "llama", None])
        self.assert_exit(self.run_inferq("model", "list", "nowhere"), 0)


@unittest.skipUnless(MAKE_GGUF.exists(), "built without the local engine")
class Bench(Case):
    def setUp(self):
        super().setUp()
        make_tiny(self.path("tiny.gguf"))

    def test_it_measures_each_concurrency(self):
        begin = time.monotonic()
        done = self.run_inferq("model", "bench", "tiny.gguf", "--seconds", 6, "--concurrency", "1,4", "--threads", 1,
                               "--json")
        self.assert_exit(done, 0)
        self.assertLess(time.monotonic() - begin, 60)
        result = json.loads(done.stdout)
        self.assertEqual([level["concurrency"] for level in result["levels"]], [1, 4])
        for level in result["levels"]:
            self.assertGreater(level["prompt_tokens_per_s"], 0)
            self.assertGreater(level["generated_tokens_per_s"], 0)
        self.assertEqual(result["threads"], 1)
        self.assertGreater(result["first_token_ms"], 0)
        self.assertIn(b"4 at once", done.stderr)

    def test_the_table(self):
        done = self.run_inferq("model", "bench", "tiny.gguf", "--seconds", 1, "--concurrency", 2, "--threads", 1)
        self.assert_exit(done, 0)
        self.assertIn("GENERATED TOKENS/S", done.stdout.decode())

    def test_ctrl_c_ends_with_what_was_measured(self):
        process = self.start_inferq("model", "bench", "tiny.gguf", "--seconds", 300, "--concurrency", "1,2", "--threads",
                                    1, "--json")
        line = b""
        while b"at once" not in line:
            line = process.stderr.readline()
            self.assertNotEqual(line, b"")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)
        result = json.loads(out)
        self.assertTrue(result["interrupted"])
        self.assertEqual(len(result["levels"]), 1)
        self.assertGreater(result["first_token_ms"], 0)

    def test_a_model_that_cannot_be_used(self):
        done = self.run_inferq("model", "bench", "none.gguf")
        self.assert_exit(done, 3)
        self.assertIn("none.gguf does not exist", done.stderr.decode())


def shared_kilobytes(pid, path):
    """Of the pages of a file that a process has in memory: (all, shared with others)."""
    total = shared = 0
    ours = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "-" in line.split(" ")[0] and not line.split(" ")[0].endswith(":"):
            ours = line.endswith(str(path))
        elif ours and line.startswith("Rss:"):
            total += int(line.split()[1])
        elif ours and line.startswith(("Shared_Clean:", "Shared_Dirty:")):
            shared += int(line.split()[1])
    return total, shared


@unittest.skipUnless(MAKE_GGUF.exists(), "built without the local engine")
class Adapters(ServeCase):
    def setUp(self):
        super().setUp()
        make_tiny(self.path("tiny.gguf"))
        make_adapter(self.path("a.gguf"), self.path("tiny.gguf"))

    def answers(self, name, *more):
        done = self.run_inferq("run", "in.jsonl", "-o", name, "--model", "tiny.gguf", "--context", 512, "--threads", 1,
                               "--concurrency", 1, *more)
        self.assert_exit(done, 0)
        return {line["custom_id"]: line["response"]["body"]["choices"][0]["message"]["content"]
                for line in self.lines(name)}

    def test_a_run_with_an_adapter(self):
        self.write("in.jsonl", batch_file(3, max_tokens=12, temperature=0))
        plain = self.answers("plain.jsonl")
        adapted = self.answers("adapted.jsonl", "--adapter", "a.gguf")
        self.assertTrue(all(adapted[key] != plain[key] for key in plain), (plain, adapted))
        self.assertEqual(self.answers("none.jsonl", "--adapter", "a.gguf", "--adapter-scale", 0), plain)
        # Another adapter is another run.
        done = self.run_inferq("run", "in.jsonl", "-o", "adapted.jsonl", "--model", "tiny.gguf", "--adapter", "b.gguf")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--adapter", done.stderr.decode())

    def test_wrong_adapters_are_sentences(self):
        self.write("in.jsonl", batch_file(1, max_tokens=2))
        make_tiny(self.path("other.gguf"), "llama")
        make_adapter(self.path("foreign.gguf"), self.path("other.gguf"))
        self.write("cut.gguf", self.path("a.gguf").read_bytes()[:-500])
        for name, words in (("none.gguf", "none.gguf does not exist"), ("foreign.gguf", "was made for llama"),
                            ("cut.gguf", "500 bytes short"), ("tiny.gguf", "not an adapter")):
            done = self.run_inferq("run", "in.jsonl", "-o", f"{name}.out", "--model", "tiny.gguf", "--adapter", name)
            self.assert_exit(done, 3)
            self.assertIn(words, done.stderr.decode())
        done = self.run_inferq("run", "in.jsonl", "-o", "out", "--engine", "fake", "--adapter", "a.gguf")
        self.assert_exit(done, 2)

    def test_two_lanes_on_one_model(self):
        """Each has its own answers at the same time, and the weights are in memory once."""
        lane = '[[model]]\nname = "{}"\npath = "tiny.gguf"\ncontext = 512\nthreads = 1\nconcurrency = 4\n{}'
        server = self.start_server(config=lane.format("plain", "") + lane.format("adapted", 'adapter = "a.gguf"\n'))

        def ask(job):
            model, i = job
            answer = server.request("POST", "/v1/chat/completions", {
                "model": model, "temperature": 0, "max_tokens": 12,
                "messages": [{"role": "user", "content": f"question {i}"}]})
            self.assertEqual(answer.status, 200, answer.body)
            return answer.json()["choices"][0]["message"]["content"]

        jobs = [(model, i) for i in range(4) for model in ("plain", "adapted")]
        alone = {job: ask(job) for job in jobs}
        for i in range(4):
            self.assertNotEqual(alone["plain", i], alone["adapted", i])
        with concurrent.futures.ThreadPoolExecutor(2) as pool:  # one of each model at a time
            self.assertEqual(dict(zip(jobs, pool.map(ask, jobs))), alone)
        children = children_of(server.process.pid)
        self.assertEqual(len(children), 2)
        for child in children:
            total, shared = shared_kilobytes(child, self.path("tiny.gguf"))
            self.assertGreater(total, 0)
            self.assertGreater(shared, total * 0.9, "the weights are in memory twice")

    def test_a_lane_with_a_broken_adapter_says_so(self):
        self.write("cut.gguf", self.path("a.gguf").read_bytes()[:-500])
        server = self.start_server(
            config='[[model]]\nname = "m"\npath = "tiny.gguf"\nadapter = "cut.gguf"\n')
        answer = server.request("POST", "/v1/chat/completions", {
            "model": "m", "messages": [{"role": "user", "content": "hi"}]})
        self.assertGreaterEqual(answer.status, 500)
        self.assertTrue(wait_for(lambda: any(b"500 bytes short" in line for line in server.log)), server.log)


if __name__ == "__main__":
    unittest.main()
