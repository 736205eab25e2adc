"""The page that describes the API is sound, and what holds servers against it sees what is wrong."""

import gzip
import json
import re
import threading
import unittest
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jsonschema

import description
from watching_proxy import WatchingProxy

METHODS = ("get", "post", "patch", "put", "delete")
FILE = {"id": "file-1", "object": "file", "bytes": 1, "created_at": 1, "expires_at": None, "filename": "f",
        "purpose": "batch", "status": "processed", "status_details": None}
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
         "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
ERROR = {"error": {"message": "m", "type": "invalid_request_error", "param": None, "code": None}}
LINE = {"id": "batch_req_1", "custom_id": "a", "response": {"status_code": 200, "request_id": "req_1", "body": {}}, "error": None}
EVENT = {"type": "response.output_text.delta", "sequence_number": 4, "item_id": "msg_1", "output_index": 0,
         "content_index": 0, "delta": "a", "logprobs": []}
HEADERS = {"x-request-id": "r", "content-type": "application/json"}


def without(value, *names):
    return {name: each for name, each in value.items() if name not in names}


def references_in(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for value in node.values():
            yield from references_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from references_in(value)


class Page(unittest.TestCase):
    def setUp(self):
        self.description = description.of_server()
        self.page = self.description.page

    def operations(self):
        for path, item in self.page["paths"].items():
            for method in METHODS:
                if method in item:
                    yield path, item, method, item[method]

    def test_references_lead_somewhere(self):
        for reference in references_in(self.page):
            self.description.resolver.resolve(reference)

    def test_schemas_are_schemas_and_used(self):
        used = set(references_in(self.page))
        for name, schema in self.page["components"]["schemas"].items():
            jsonschema.Draft202012Validator.check_schema(schema)
            self.assertIn(f"#/components/schemas/{name}", used)

    def test_operations_are_whole(self):
        names = [operation["operationId"] for _, _, _, operation in self.operations()]
        self.assertEqual(len(names), len(set(names)))
        tags = {tag["name"] for tag in self.page["tags"]}
        for path, item, method, operation in self.operations():
            with self.subTest(path=path, method=method):
                self.assertLessEqual(set(operation["tags"]), tags)
                self.assertIn("200", operation["responses"])
                declared = {self.description._resolved(each)["name"] for each in item.get("parameters", [])
                            if self.description._resolved(each)["in"] == "path"}
                self.assertEqual(declared, set(re.findall(r"\{(\w+)\}", path)))


class Check(unittest.TestCase):
    def check(self, method, path, value, status=200, headers=None, request=None, body=None):
        description.of_server().check(
            method, path, request, status, {**HEADERS, **(headers or {})},
            json.dumps(value).encode() if body is None else body)

    def refuses(self, words, *arguments, **more):
        with self.assertRaisesRegex(description.Mismatch, words):
            self.check(*arguments, **more)

    def test_what_fits_passes_wherever_it_stands(self):
        for path in ("/v1/files/file-1", "/files/file-1", "/t/ann/v1/files/file-1/", "/t/ann/files/file-1"):
            self.check("GET", path, FILE)
        self.check("HEAD", "/v1/files/file-1", None, body=b"")
        self.check("GET", "/v1/models/org/name", {"id": "org/name", "object": "model", "created": 1, "owned_by": "inferq"})

    def test_a_field_too_few_too_many_or_of_another_type(self):
        self.refuses("'bytes' is a required property", "GET", "/v1/files/file-1", without(FILE, "bytes"))
        self.refuses("'more' was unexpected", "GET", "/v1/files/file-1", {**FILE, "more": 1})
        self.refuses("wrong at bytes", "GET", "/v1/files/file-1", {**FILE, "bytes": "1"})
        self.refuses("wrong at data.0.purpose", "GET", "/v1/files", {
            "object": "list", "data": [{**FILE, "purpose": "x"}], "first_id": None, "last_id": None, "has_more": False})
        self.refuses("not JSON", "GET", "/v1/files/file-1", None, body=b"{")

    def test_a_route_status_type_or_header_that_is_not_described(self):
        self.refuses("no such path", "GET", "/v1/files/file-1/more", FILE)
        self.refuses("no such method", "PUT", "/v1/files/file-1", FILE)
        self.refuses("no such status", "GET", "/v1/files/file-1", ERROR, status=409)
        self.refuses("no such status", "GET", "/v1/models", ERROR, status=404)
        self.refuses("content type is text/html", "GET", "/v1/files/file-1", FILE, headers={"content-type": "text/html"})
        self.refuses("no x-request-id", "GET", "/v1/files/file-1", FILE, headers={"x-request-id": ""})
        self.refuses("no header etag", "POST", "/v1/tasks/task_1/cancel", {})
        self.refuses("no header x-should-retry", "POST", "/v1/batches/batch_1/cancel", ERROR, status=409)
        self.refuses("header retry-after", "GET", "/v1/files", ERROR, status=503, headers={"retry-after": "600"})

    def test_errors_have_their_form_everywhere(self):
        self.check("GET", "/v1/files/file-1", ERROR, status=404)
        self.check("GET", "/v1/nothing", ERROR, status=404)
        self.check("PUT", "/v1/files", ERROR, status=405, headers={"allow": "GET"})
        bad = {"error": without(ERROR["error"], "param")}
        self.refuses("'param' is a required", "GET", "/v1/files/file-1", bad, status=404)
        self.refuses("'param' is a required", "GET", "/v1/nothing", bad, status=404)

    def test_streams_event_by_event(self):
        def stream(*events):
            return {"headers": {"content-type": "text/event-stream; charset=utf-8"}, "body": "".join(
                event if event.startswith(":") else f"data: {event}\n\n" for event in events).encode()}
        path = "/v1/chat/completions"
        self.check("POST", path, None, **stream(json.dumps(CHUNK), ": waits\n\n", "[DONE]"))
        self.check("POST", path, None, **stream(json.dumps(CHUNK), json.dumps(ERROR)))
        self.refuses("'choices' is a required", "POST", path, None, **stream(json.dumps(without(CHUNK, "choices"))))
        self.refuses("the line 'id: 1'", "POST", path, None, headers={"content-type": "text/event-stream"}, body=b"id: 1\n\n")

    def test_streams_with_fields_of_their_own(self):
        def stream(text):
            return {"headers": {"content-type": "text/event-stream"}, "body": text.encode()}
        path = "/v1/batches/batch_1/results"
        self.check("GET", path, None, **stream(f"id: 7\ndata: {json.dumps(LINE)}\n\ndata: [DONE]\n\n"))
        self.refuses("'error' is a required", "GET", path, None, **stream(f"data: {json.dumps(without(LINE, 'error'))}\n\n"))
        self.refuses("the line 'event: a'", "GET", path, None, **stream("event: a\n\n"))
        path = "/v1/responses"
        self.check("POST", path, None, **stream(f"event: {EVENT['type']}\ndata: {json.dumps(EVENT)}\n\n"))
        self.refuses("stream has the line 'id: 1'", "POST", path, None, **stream("id: 1\n\n"))
        for bad in (without(EVENT, "delta"), {**EVENT, "more": 1}, {**EVENT, "type": "response.other"}):
            self.refuses("the answer is wrong", "POST", path, None, **stream(f"data: {json.dumps(bad)}\n\n"))

    def test_lines_one_by_one(self):
        def page(*lines):
            return {"headers": {"content-type": "application/jsonl"},
                    "body": "".join(json.dumps(line) + "\n" for line in lines).encode()}
        path = "/v1/batches/batch_1/results?after=3"
        self.check("GET", path, None, **page(LINE, LINE))
        self.check("GET", path, None, **page())
        self.refuses("'id' is a required", "GET", path, None, **page(LINE, without(LINE, "id")))

    def test_a_compressed_request_is_looked_into(self):
        done = {"cancelled": 0}
        self.check("POST", "/v1/tasks/cancel", done, request=gzip.compress(b'{"kind":"a"}'))
        self.refuses("the request that it took", "POST", "/v1/tasks/cancel", done, request=gzip.compress(b'{"kin":"a"}'))

    def test_what_a_batch_is_made_of(self):
        schema = self.page_schema("NewBatch")
        base = {"endpoint": "/v1/responses", "completion_window": "24h"}
        good = ({"input_file_id": "f"}, {"requests": [{"body": {}}]}, {"requests": [{}], "input_file_id": None},
                {"input_file_id": "f", "input_format": "csv", "model": "m", "template": "t", "body": {"max_tokens": 1}},
                {"input_file_id": "f", "template": None, "priority": -3, "deadline": 1.5, "idempotency_key": "k"})
        bad = ({}, {"input_file_id": "f", "requests": [{}]}, {"requests": []}, {"input_file_id": "f", "model": "m"},
               {"input_file_id": "f", "input_format": "csv"}, {"requests": [{}], "input_format": "csv", "model": "m"})
        for more in good:
            self.assertEqual([], list(schema.iter_errors({**base, **more})), more)
        for more in bad:
            self.assertFalse(schema.is_valid({**base, **more}), more)

    @staticmethod
    def page_schema(name):
        whole = description.of_server()
        return jsonschema.Draft202012Validator(whole.page["components"]["schemas"][name], resolver=whole.resolver)

    def test_what_the_server_takes_is_described_too(self):
        batch = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
        self.check("GET", "/v1/batches?limit=3&after=x", batch)
        self.refuses("the parameter 'before'", "GET", "/v1/batches?before=x", batch)
        self.check("POST", "/v1/tasks/cancel", {"cancelled": 0}, request=b'{"kind":"a"}')
        self.refuses("the request that it took", "POST", "/v1/tasks/cancel", {"cancelled": 0}, request=b'{"kin":"a"}')
        self.check("POST", "/v1/tasks/cancel", ERROR, status=400, request=b'{"kin":"a"}')


class Proxy(unittest.TestCase):
    def answer_through(self, body):
        """What a client gets of a server that answers with `body`, and what the proxy says of it."""
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                for name, value in HEADERS.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            proxy = WatchingProxy(server.server_address[1])
            with urllib.request.urlopen(f"http://127.0.0.1:{proxy.port}/v1/models", timeout=30) as answer:
                got = answer.read()
            proxy.close()
            server.shutdown()
        return got, proxy.problems

    def test_passes_on_what_it_judges(self):
        good, bad = b'{"object":"list","data":[]}', b'{"object":"list"}'
        self.assertEqual(self.answer_through(good), (good, []))
        got, (problem,) = self.answer_through(bad)
        self.assertEqual(got, bad)
        self.assertIn("'data' is a required property", problem)


if __name__ == "__main__":
    unittest.main()
