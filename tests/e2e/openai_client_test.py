"""The npm `openai` client against `inferq serve`, on the machine's Node and on those that INFERQ_NODES names."""

import json
import os
import pathlib
import shutil
import subprocess
import unittest

from answers_test import token_id
from harness import MAKE_GGUF
from serve_harness import FAKE, ServeCase

ROOT = pathlib.Path(__file__).resolve().parents[2]
SUITE = pathlib.Path(__file__).with_name("openai_client.mjs")
ANSWERS = SUITE.with_name("openai_answers.mjs")
RESPONSES = SUITE.with_name("openai_responses.mjs")
RETRIES = SUITE.with_name("openai_retries.mjs")


def nodes():
    named = os.environ.get("INFERQ_NODES", "").split(":")
    return [node for node in [shutil.which("node"), *named] if node]


class OpenAiClient(ServeCase):
    def run_suite(self, path="/v1", key="none", more=""):
        """The suite on each Node, each time on a server with a store of its own."""
        self.assertTrue((ROOT / "node_modules" / "openai").exists(), "run tools/setup.sh: the npm packages are missing")
        for number, node in enumerate(nodes()):
            server = self.start_server("--data", f"data-{number}", config=FAKE + more)
            done = subprocess.run([node, SUITE, self.watched(server, path), "m"], capture_output=True,
                                  text=True, timeout=300, check=False, env={**os.environ, "OPENAI_API_KEY": key})
            self.assertEqual(done.returncode, 0, f"{node}:\n{done.stdout}{done.stderr}")
            self.assertIn("ok errors have their classes", done.stdout)
        return server

    def test_every_call(self):
        self.run_suite()

    def test_failures_and_what_is_repeated(self):
        server = self.start_server(config=FAKE)
        for number, node in enumerate(nodes()):
            done = subprocess.run([node, RETRIES, f"http://{server.host}:{server.port}/t/node-{number}/v1",
                                   "m"], capture_output=True, text=True, timeout=120, check=False)
            self.assertEqual(done.returncode, 0, f"{node}:\n{done.stdout}{done.stderr}")
            self.assertIn("ok an upload is completed once", done.stdout)

    def test_below_a_tenants_path(self):
        server = self.run_suite("/t/ann/v1")
        self.assertEqual(server.request("GET", "/v1/batches").json()["data"], [])

    def test_with_a_key(self):
        made = self.run_inferq("key", "create", "--tenant", "ann").stdout.decode()
        key = next(word for word in made.split() if word.startswith("iq-"))
        self.run_suite(key=key, more="\n" + made[made.index("[[tenant]]"):])

    def test_responses(self):
        server = self.start_server(config=FAKE)
        self.run_checks(RESPONSES, server)

    def run_checks(self, suite, server, *more):
        for node in nodes():
            done = subprocess.run([node, suite, self.watched(server), "m", *more],
                                  capture_output=True, text=True, timeout=300, check=False)
            self.assertEqual(done.returncode, 0, f"{node}:\n{done.stdout}{done.stderr}")
            self.assertIn("ok ", done.stdout)

    @unittest.skipUnless(MAKE_GGUF.exists(), "built without a local engine")
    def test_answers_of_a_local_model(self):
        self.path("models").mkdir()
        subprocess.run([MAKE_GGUF, "--preset", "tiny", "--arch", "glm4", "--tools", "--out",
                        self.path("models/m.gguf")], check=True, stdout=subprocess.DEVNULL)
        push = {token_id(self.path("models/m.gguf"), name): bias
                for name, bias in (("[sMASK]", 80), ("<|endoftext|>", 100))}
        server = self.start_server(config='[[model]]\nname = "m"\npath = "models/m.gguf"\nthreads = 1\n')
        self.run_checks(ANSWERS, server, json.dumps(push))
        self.run_checks(RESPONSES, server, json.dumps(push))


if __name__ == "__main__":
    unittest.main()
