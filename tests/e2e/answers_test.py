"""What answers of a local model can look like: schemas, tools, logprobs, several choices; online, streamed, in batches."""

import json
import subprocess
import unittest

from harness import MAKE_GGUF, batch_line
from serve_harness import ServeCase

SCHEMA = {"type": "object", "additionalProperties": False, "required": ["mood", "stars", "tags"], "properties": {
    "mood": {"enum": ["good", "bad"]},
    "stars": {"type": "integer", "minimum": 1, "maximum": 5},
    "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 6}}}}
FORMAT = {"type": "json_schema", "json_schema": {"name": "review", "strict": True, "schema": SCHEMA}}
TOOLS = [{"type": "function", "function": {
    "name": "weather", "description": "of a city", "parameters": {
        "type": "object", "required": ["city"], "additionalProperties": False,
        "properties": {"city": {"enum": ["Rome", "Oslo"]}}}}}]


def make_model(path, *arguments):
    path.parent.mkdir(exist_ok=True)
    subprocess.run([MAKE_GGUF, "--preset", "tiny", "--arch", "glm4", "--out", path, *arguments], check=True,
                   stdout=subprocess.DEVNULL)


def token_id(path, name):
    """Which token of a GGUF file is called so."""
    data = path.read_bytes()
    key = b"tokenizer.ggml.tokens"
    at = data.index(key) + len(key) + 8  # the types of the value and its elements
    count = int.from_bytes(data[at:at + 8], "little")
    at += 8
    for token in range(count):
        size = int.from_bytes(data[at:at + 8], "little")
        if data[at + 8:at + 8 + size] == name.encode():
            return token
        at += 8 + size
    raise AssertionError(f"{name} is no token")


def chat(**body):
    return {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 300, "seed": 3, **body}


def events(answer):
    """The chunks of a stream, which ends as it should."""
    assert answer.status == 200, answer.body
    data = [line[6:] for line in answer.body.decode().split("\n") if line.startswith("data: ")]
    assert data[-1] == "[DONE]", data[-1]
    return [json.loads(one) for one in data[:-1]]


CONFIG = "".join(f"""
[[model]]
name = "{name}"
path = "models/{name}.gguf"
threads = 1
""" for name in ("tiny", "tools"))


class Answers(ServeCase):
    def setUp(self):
        super().setUp()
        make_model(self.dir / "models" / "tiny.gguf")
        make_model(self.dir / "models" / "tools.gguf", "--tools")
        # A random model talks on and on: this makes it call a tool as soon as it may, and end then.
        self.push = {str(token_id(self.dir / "models" / "tools.gguf", name)): bias
                     for name, bias in (("[sMASK]", 80), ("<|endoftext|>", 100))}

    def ask(self, body, path="/v1/chat/completions"):
        answer = self.server.request("POST", path, body)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def refuse(self, body, param, path="/v1/chat/completions"):
        answer = self.server.request("POST", path, body)
        self.assertEqual((answer.status, answer.json()["error"]["param"]), (400, param), answer.body)
        return answer.json()["error"]["message"]

    def assert_review(self, text):
        review = json.loads(text)
        self.assertEqual(sorted(review), ["mood", "stars", "tags"])
        self.assertIn(review["mood"], ["good", "bad"])
        self.assertIn(review["stars"], range(1, 6))
        self.assertLessEqual(len(review["tags"]), 2)

    def test_online(self):
        self.server = self.start_server(config=CONFIG)
        self.schemas()
        self.choices_and_logprobs()
        self.tools()
        self.other_fields()

    def schemas(self):
        for temperature in (0, 1):
            choice = self.ask(chat(response_format=FORMAT, temperature=temperature))["choices"][0]
            self.assert_review(choice["message"]["content"])
            self.assertEqual(choice["finish_reason"], "stop")
        chunks = events(self.server.request("POST", "/v1/chat/completions", chat(response_format=FORMAT, stream=True)))
        self.assert_review("".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks))
        bounded = {"type": "json_schema", "json_schema": {"name": "b", "schema": {"type": "boolean"}}}
        self.assertIn(json.loads(self.ask({"model": "tiny", "prompt": "x", "response_format": bounded},
                                          "/v1/completions")["choices"][0]["text"]), (True, False))
        # An object may be longer than any limit; what there is of it begins like one.
        text = self.ask(chat(response_format={"type": "json_object"}))["choices"][0]["message"]["content"]
        self.assertTrue(text.startswith("{"), text)
        self.assertEqual(self.ask(chat(grammar='root ::= "yes"'))["choices"][0]["message"]["content"], "yes")
        bad = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "no such type"}}}
        self.refuse(chat(response_format=bad), "response_format.json_schema.schema")
        self.refuse(chat(response_format={"type": "xml"}), "response_format.type")
        self.refuse(chat(grammar="root :="), "grammar")

    def choices_and_logprobs(self):
        body = chat(n=3, max_tokens=6, ignore_eos=True, logprobs=True, top_logprobs=2)
        answer = self.ask(body)
        self.assertRegex(answer["id"], "^chatcmpl-")
        self.assertEqual((answer["model"], answer["object"]), ("tiny", "chat.completion"))
        self.assertGreater(answer["created"], 1_600_000_000)
        self.assertEqual([choice["index"] for choice in answer["choices"]], [0, 1, 2])
        self.assertEqual(answer["usage"]["completion_tokens"], 18)
        texts = [choice["message"]["content"] for choice in answer["choices"]]
        self.assertEqual(len(set(texts)), 3)
        one = self.ask(chat(max_tokens=6, ignore_eos=True))
        self.assertEqual(one["usage"]["prompt_tokens"], answer["usage"]["prompt_tokens"])
        for choice in answer["choices"]:
            told = choice["logprobs"]["content"]
            self.assertEqual(len(told), 6)
            self.assertEqual(bytes(sum((token["bytes"] for token in told), [])).decode(errors="replace"),
                             choice["message"]["content"])
            for token in told:
                self.assertLess(token["logprob"], 0)
                self.assertEqual(len(token["top_logprobs"]), 2)
        chunks = events(self.server.request("POST", "/v1/chat/completions", {
            **body, "stream": True, "stream_options": {"include_usage": True}}))
        streamed = ["", "", ""]
        ends = {}
        tokens = 0
        for chunk in chunks[:-1]:
            (choice,) = chunk["choices"]
            streamed[choice["index"]] += choice["delta"].get("content", "")
            tokens += len((choice["logprobs"] or {"content": []})["content"])
            if choice["finish_reason"]:
                ends[choice["index"]] = choice["finish_reason"]
        self.assertEqual(streamed, texts)
        self.assertEqual(ends, {0: "length", 1: "length", 2: "length"})
        self.assertEqual(tokens, 18)
        self.assertEqual((chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]), ([], 18))
        text = self.ask({"model": "tiny", "prompt": "Once", "max_tokens": 5, "logprobs": 2, "ignore_eos": True,
                         "temperature": 0}, "/v1/completions")["choices"][0]
        told = text["logprobs"]
        self.assertEqual([len(told[key]) for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset")],
                         [5, 5, 5, 5])
        self.assertEqual(told["text_offset"][0], 0)
        self.assertEqual(max(told["top_logprobs"][0].values()), told["token_logprobs"][0])
        self.refuse(chat(n=17), "n")
        self.refuse(chat(n=2, best_of=3), "best_of")
        self.refuse(chat(top_logprobs=2), "top_logprobs")

    def tools(self):
        self.assertIn("no tools", self.refuse(chat(tools=TOOLS), "tools"))
        named = {"type": "function", "function": {"name": "weather"}}
        for choice in ("required", named):
            body = chat(model="tools", tools=TOOLS, tool_choice=choice, logit_bias=self.push)
            answer = self.ask(body)["choices"][0]
            self.assertEqual(answer["finish_reason"], "tool_calls", answer)
            (call,) = answer["message"]["tool_calls"]
            self.assertEqual((call["type"], call["function"]["name"]), ("function", "weather"))
            self.assertIn(json.loads(call["function"]["arguments"])["city"], ("Rome", "Oslo"))
            chunks = events(self.server.request("POST", "/v1/chat/completions", {**body, "stream": True}))
            (told,) = [chunk["choices"][0]["delta"]["tool_calls"] for chunk in chunks
                       if "tool_calls" in chunk["choices"][0]["delta"]]
            self.assertEqual(told[0]["function"], call["function"])
            self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "tool_calls")
        messages = [*body["messages"], answer["message"],
                    {"role": "tool", "tool_call_id": call["id"], "content": "sunny"}]
        after = self.ask({**body, "messages": messages, "tool_choice": "none", "max_tokens": 5})
        self.assertNotIn("tool_calls", after["choices"][0]["message"])
        self.refuse({**body, "tool_choice": {"type": "function", "function": {"name": "none"}}}, "tool_choice")

    def other_fields(self):
        biased = self.ask(chat(logit_bias={"120": 100}, max_tokens=4))
        self.assertEqual(biased["choices"][0]["message"]["content"], "xxxx")
        self.refuse(chat(logit_bias={"99999999": 1}), "logit_bias")
        plain = self.ask(chat(max_tokens=20, temperature=0, ignore_eos=True))["choices"][0]["message"]["content"]
        stop = plain[6:9]
        self.assertEqual(self.ask(chat(max_tokens=20, temperature=0, ignore_eos=True, stop=stop))
                         ["choices"][0]["message"]["content"], plain[:plain.index(stop)])
        again = [self.ask(chat(max_tokens=8, seed=seed))["choices"][0]["message"]["content"] for seed in (1, 1, 2)]
        self.assertEqual(again[0], again[1])
        self.assertNotEqual(again[0], again[2])
        sure = [self.ask(chat(max_tokens=8, seed=seed, min_p=1, ignore_eos=True))["choices"][0]["message"]["content"]
                for seed in (1, 2)]
        self.assertEqual(sure[0], sure[1], "min_p 1 leaves the most probable token")
        self.assertEqual(sure[0], plain[:len(sure[0])])
        either = {"120": 100, "121": 99}  # x, or else y
        penalised = self.ask(chat(max_tokens=2, temperature=0, logit_bias=either, repeat_penalty=10))
        self.assertEqual(penalised["choices"][0]["message"]["content"], "xy")

    def test_in_a_batch_and_a_run(self):
        bodies = {"format": dict(response_format=FORMAT, max_tokens=300),
                  "two": dict(n=2, max_tokens=4, ignore_eos=True, logprobs=True),
                  "call": dict(tools=TOOLS, tool_choice="required", max_tokens=300, logit_bias=self.push),
                  "bad": dict(response_format={"type": "json_schema", "json_schema": {
                      "name": "x", "schema": {"type": "no such type"}}})}
        text = "".join(batch_line(name, "hello", **{"model": "tools", "seed": 1, **body}) + "\n"
                       for name, body in bodies.items())

        def check(lines):
            by_id = {line["custom_id"]: line["response"] for line in lines}
            self.assertEqual(by_id["bad"]["body"]["error"]["param"].removeprefix("body."),
                             "response_format.json_schema.schema")
            self.assert_review(by_id["format"]["body"]["choices"][0]["message"]["content"])
            two = by_id["two"]["body"]
            self.assertEqual(len(two["choices"]), 2)
            self.assertEqual(two["usage"]["completion_tokens"], 8)
            self.assertEqual(two["model"], "tools")
            self.assertEqual(by_id["call"]["body"]["choices"][0]["finish_reason"], "tool_calls")

        server = self.start_server(config=CONFIG)
        batch = server.create_batch(server.upload(text).json()["id"]).json()
        done = server.await_batch(batch["id"])
        self.assertEqual(done["request_counts"], {"total": 4, "completed": 3, "failed": 1})
        lines = server.results(done)
        check(lines)
        usage = [line["response"]["body"]["usage"] for line in lines if line["response"]["status_code"] == 200]
        self.assertEqual(done["usage"]["output_tokens"], sum(one["completion_tokens"] for one in usage))
        self.assertEqual(done["usage"]["input_tokens"], sum(one["prompt_tokens"] for one in usage))
        self.assertEqual(self.stop_server(server), 0)
        self.write("in.jsonl", text)
        run = self.run_inferq("run", "in.jsonl", "-o", "out.jsonl", "--model", "models/tools.gguf",
                              "--threads", "1", "--on-error", "continue")
        self.assertIn(run.returncode, (0, 1), run.stderr)
        check(self.lines("out.jsonl") + self.lines("out.errors.jsonl"))


if __name__ == "__main__":
    unittest.main()
