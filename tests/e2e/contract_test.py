"""The contract of OpenAI's Files, Uploads and Batches, row by row, over HTTP."""

import concurrent.futures
import hashlib
import json
import os
import signal
import time
import unittest

from harness import batch_file, batch_line, wait_for
from serve_harness import FAKE, MULTIPART, ServeCase

# Beyond OpenAI's (docs/serve.md).
OUR_BATCH_FIELDS = {"paused", "priority", "deadline", "retry_of", "retried_by", "estimate"}
BATCH_FIELDS = {
    "id", "object", "endpoint", "model", "errors", "input_file_id", "completion_window", "status", "output_file_id",
    "error_file_id", "created_at", "in_progress_at", "expires_at", "finalizing_at", "completed_at", "failed_at",
    "expired_at", "cancelling_at", "cancelled_at", "request_counts", "usage", "metadata"}
SLOW = FAKE.replace('"5ms"', '"2s"').replace("16", "4")


def line(**changes):
    """A good line with some members changed; None takes one out."""
    whole = {"custom_id": "good", "method": "POST", "url": "/v1/chat/completions",
             "body": {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 2}, **changes}
    return json.dumps({name: value for name, value in whole.items() if value is not None})


class Files(ServeCase):
    def setUp(self):
        super().setUp()
        self.server = self.start_server(config=FAKE)

    def test_the_object_has_every_field(self):
        file = self.server.upload(batch_file(1)).json()
        self.assertEqual(set(file), {"id", "object", "bytes", "created_at", "expires_at", "filename", "purpose",
                                     "status", "status_details"})
        self.assertRegex(file["id"], "^file-")
        self.assertEqual((file["object"], file["purpose"], file["status"]), ("file", "batch", "processed"))
        self.assertEqual(file["expires_at"] - file["created_at"], 30 * 86400, "batch files live for 30 days")
        other = self.server.upload("x", purpose="user_data").json()
        self.assertIsNone(other["expires_at"])

    def test_what_is_no_batch_file_is_refused_at_once(self):
        for text in ("", "a,b\n1,2\n"):
            answer = self.server.upload(text)
            self.assertEqual(answer.status, 400)
            self.assertIn("Invalid file format", answer.json()["error"]["message"])
            self.assertEqual(answer.json()["error"]["type"], "invalid_request_error")
        self.assertEqual(self.server.request("GET", "/v1/files").json()["data"], [])

    def test_a_list_is_followed_to_its_end_while_files_come_and_go(self):
        server = self.server
        ids = [server.upload(f"{i}", purpose="user_data").json()["id"] for i in range(9)]
        seen, after = [], None
        while True:
            query = f"/v1/files?limit=2&purpose=user_data{f'&after={after}' if after else ''}"
            page = server.request("GET", query).json()
            seen += [file["id"] for file in page["data"]]
            if not page["has_more"]:
                break
            after = page["last_id"]
            self.assertEqual(page["last_id"], page["data"][-1]["id"])
            server.request("DELETE", f"/v1/files/{after}")  # the cursor itself
            server.upload("new", purpose="user_data")
        self.assertEqual(seen, ids[::-1])
        none = server.request("GET", "/v1/files?after=file-none")
        self.assertEqual(none.status, 404)

    def test_content_is_the_bytes(self):
        data = bytes(range(256)) * 5
        file = self.server.upload(data, purpose="user_data").json()
        answer = self.server.request("GET", f"/v1/files/{file['id']}/content",
                                     headers={"Accept": "application/binary"})
        self.assertEqual(answer.body, data)
        self.server.request("DELETE", f"/v1/files/{file['id']}")
        for path in ("", "/content"):
            gone = self.server.request("GET", f"/v1/files/{file['id']}{path}")
            self.assertEqual(gone.status, 404)
            self.assertEqual(gone.json()["error"]["message"], f"No such File object: {file['id']}")


class Validation(ServeCase):
    def setUp(self):
        super().setUp()
        self.server = self.start_server(config=FAKE)

    def errors(self, text):
        file = self.server.upload(text).json()["id"]
        batch = self.server.await_batch(self.server.create_batch(file).json()["id"])
        self.assertEqual(batch["status"], "failed")
        self.assertEqual(batch["request_counts"], {"total": 0, "completed": 0, "failed": 0})
        self.assertIsInstance(batch["failed_at"], int)
        self.assertIsNone(batch["in_progress_at"])
        self.assertEqual(batch["errors"]["object"], "list")
        return batch["errors"]["data"]

    def test_every_bad_line_is_listed_with_its_code_and_param(self):
        body = {"model": "m", "messages": []}
        cases = [
            (line(), None),
            ("{", ("invalid_json_line", "This line is not parseable as valid JSON.", None)),
            (line(custom_id=None), ("missing_required_parameter", "Missing required parameter: 'custom_id'.", "custom_id")),
            (line(custom_id="a", method=None), ("missing_required_parameter", "Missing required parameter: 'method'.", "method")),
            (line(custom_id="b", url=None), ("missing_required_parameter", "Missing required parameter: 'url'.", "url")),
            (line(custom_id="c", body=None), ("missing_required_parameter", "Missing required parameter: 'body'.", "body")),
            (line(custom_id="d", url="/v1/embeddings"),
             ("invalid_url", "The URL provided for this request does not match the batch endpoint.", "url")),
            (line(custom_id="e", body={**body, "stream": True}),
             ("streaming_unsupported", "Chat Completions: Streaming is not supported in the Batch API.", "body.stream")),
            (line(custom_id="f", body={**body, "model": "gpt-none"}),
             ("model_not_found", "The provided model 'gpt-none' is not supported by the Batch API.", "body.model")),
            (line(custom_id="g", body={"messages": []}), ("invalid_request", "Model parameter is required.", "body.model")),
            (line(custom_id="h", body={"model": "m"}), ("invalid_request", "Messages parameter is required.", "body.messages")),
            (line(), ("duplicate_custom_id", "The custom_id of this line occurs twice: first on line 1.", "custom_id")),
        ]
        found = self.errors("\n".join(text for text, _ in cases) + "\n")
        wanted = [(number, error) for number, (_, error) in enumerate(cases, 1) if error]
        self.assertEqual([error["line"] for error in found], [number for number, _ in wanted])
        for error, (number, (code, message, param)) in zip(found, wanted):
            self.assertEqual((error["code"], error["param"]), (code, param), f"line {number}")
            self.assertTrue(error["message"].startswith(message), error["message"])

    def test_a_file_that_does_not_exist_fails_the_batch_and_not_the_call(self):
        created = self.server.create_batch("file-none")
        self.assertEqual((created.status, created.json()["status"]), (200, "validating"))
        batch = self.server.await_batch(created.json()["id"])
        self.assertEqual(batch["status"], "failed")
        self.assertEqual(batch["errors"]["data"], [{
            "code": "invalid_request", "param": "file_id", "line": None,
            "message": "Cannot find file file-none, or organization default does not have access to it."}])

    def test_what_is_not_listed_is_counted(self):
        errors = self.errors("{\n" * 1500)
        self.assertEqual(len(errors), 1001)
        self.assertEqual(errors[999]["line"], 1000)
        self.assertEqual((errors[1000]["code"], errors[1000]["line"]), ("too_many_errors", None))
        self.assertIn("500 more errors", errors[1000]["message"])

    def test_a_malformed_message_fails_its_line_alone(self):
        text = line() + "\n" + line(custom_id="bad", body={"model": "m", "messages": "nonsense"}) + "\n"
        batch = self.server.await_batch(
            self.server.create_batch(self.server.upload(text).json()["id"]).json()["id"])
        self.assertEqual(batch["status"], "completed")
        self.assertEqual(batch["request_counts"], {"total": 2, "completed": 1, "failed": 1})
        (good,) = [json.loads(text) for text in self.server.content(batch["output_file_id"]).body.splitlines()]
        self.assertEqual(set(good), {"id", "custom_id", "response", "error"})
        self.assertEqual(set(good["response"]), {"status_code", "request_id", "body"})
        self.assertIsNone(good["error"])
        (bad,) = [json.loads(text) for text in self.server.content(batch["error_file_id"]).body.splitlines()]
        self.assertRegex(bad["id"], "^batch_req_")
        self.assertEqual((bad["custom_id"], bad["response"]["status_code"], bad["error"]), ("bad", 400, None))
        self.assertIn("message", bad["response"]["body"]["error"])


class Synchronous(ServeCase):
    def setUp(self):
        super().setUp()
        self.server = self.start_server(config=FAKE)

    def refused(self, status, param, code, **changes):
        answer = self.server.create_batch("file-x", **changes)
        error = answer.json()["error"]
        self.assertEqual((answer.status, error["type"], error["param"]), (status, "invalid_request_error", param))
        if code:
            self.assertEqual(error["code"], code)
        self.assertIn("x-request-id", answer.headers)
        return error["message"]

    def test_parameters(self):
        message = self.refused(400, "endpoint", "invalid_value", endpoint="/v1/none")
        self.assertIn("Invalid value: '/v1/none'. Supported values are: ", message)
        for window in ("1h", "48h", "invalid", ""):
            self.assertIn("completion_window", self.refused(400, "completion_window", None, completion_window=window))
        self.assertEqual(
            self.refused(400, "metadata.tags", "invalid_type", metadata={"tags": ["a"]}),
            "Invalid type for 'metadata.tags': expected a string, but got an array instead.")
        self.refused(400, "metadata", "object_above_max_properties", metadata={f"k{i}": "v" for i in range(17)})
        self.refused(400, "metadata", "property_name_above_max_length", metadata={"k" * 65: "v"})
        self.refused(400, "metadata.k", "string_above_max_length", metadata={"k": "v" * 513})
        self.refused(400, "output_expires_after.seconds", "integer_below_min_value",
                     output_expires_after={"anchor": "created_at", "seconds": 3599})
        self.refused(400, "output_expires_after.seconds", "integer_above_max_value",
                     output_expires_after={"anchor": "created_at", "seconds": 2592001})
        self.refused(400, "output_expires_after.anchor", "invalid_value",
                     output_expires_after={"anchor": "now", "seconds": 3600})

    def test_an_unknown_batch(self):
        for method, path in (("GET", "batch_none"), ("POST", "batch_none/cancel")):
            answer = self.server.request(method, f"/v1/batches/{path}")
            self.assertEqual(answer.status, 404)
            self.assertEqual(answer.json()["error"], {
                "message": "No batch found with id 'batch_none'.", "type": "invalid_request_error", "param": None,
                "code": None})

    def test_cancel_of_what_has_ended(self):
        server = self.server
        completed = server.await_batch(server.create_batch(server.upload(batch_file(1)).json()["id"]).json()["id"])
        failed = server.await_batch(server.create_batch("file-none").json()["id"])
        for batch in (completed, failed):
            answer = server.request("POST", f"/v1/batches/{batch['id']}/cancel")
            self.assertEqual((answer.status, answer.headers["x-should-retry"]), (409, "false"))
            self.assertEqual(answer.json()["error"], {
                "message": f"Cannot cancel a batch with status '{batch['status']}'.", "type": "invalid_request_error",
                "param": None, "code": None})

    def test_lists_have_bounds(self):
        for query in ("batches?limit=0", "batches?limit=101", "files?limit=0", "files?limit=10001", "files?order=up"):
            self.assertEqual(self.server.request("GET", f"/v1/{query}").status, 400, query)
        self.assertEqual(self.server.request("GET", "/v1/batches?after=batch_none").status, 404)


class Batches(ServeCase):
    def test_the_object_through_its_life(self):
        server = self.start_server(config=FAKE)
        file = server.upload(batch_file(20)).json()["id"]
        fresh = server.create_batch(file, output_expires_after={"anchor": "created_at", "seconds": 3600}).json()
        self.assertEqual(set(fresh), BATCH_FIELDS | OUR_BATCH_FIELDS)
        self.assertRegex(fresh["id"], "^batch_")
        for name in ("errors", "output_file_id", "error_file_id", "in_progress_at", "finalizing_at", "completed_at",
                     "failed_at", "expired_at", "cancelling_at", "cancelled_at", "usage", "metadata", "model"):
            self.assertIsNone(fresh[name], name)
        self.assertEqual(fresh["expires_at"] - fresh["created_at"], 86400)
        self.assertEqual(server.request("DELETE", f"/v1/files/{file}").status, 200)
        done = server.await_batch(fresh["id"])
        self.assertEqual(set(done), BATCH_FIELDS | OUR_BATCH_FIELDS)
        self.assertEqual((done["status"], done["model"]), ("completed", "m"))
        times = [done[name] for name in ("created_at", "in_progress_at", "finalizing_at", "completed_at")]
        self.assertEqual(times, sorted(times))
        self.assertEqual(set(done["usage"]) , {"input_tokens", "input_tokens_details", "output_tokens",
                                               "output_tokens_details", "total_tokens"})
        self.assertIn("cached_tokens", done["usage"]["input_tokens_details"])
        self.assertIn("reasoning_tokens", done["usage"]["output_tokens_details"])
        lines = server.results(done)
        self.assertEqual(done["usage"]["output_tokens"],
                         sum(one["response"]["body"]["usage"]["completion_tokens"] for one in lines))
        output = server.request("GET", f"/v1/files/{done['output_file_id']}").json()
        self.assertEqual((output["purpose"], output["expires_at"]), ("batch_output", output["created_at"] + 3600))
        self.assertEqual(server.batch(done["id"]), done, "asked again it is the same")
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server = self.start_server(config=FAKE)
        self.assertEqual(server.batch(done["id"]), done, "also after a kill")

    def test_a_cancelled_one_keeps_what_ended(self):
        server = self.start_server(config=SLOW)
        batch = server.create_batch(server.upload(batch_file(100)).json()["id"]).json()["id"]
        self.assertTrue(wait_for(lambda: server.batch(batch)["request_counts"]["completed"] > 0))
        cancelling = server.request("POST", f"/v1/batches/{batch}/cancel").json()
        self.assertEqual(cancelling["status"], "cancelling")
        self.assertIsInstance(cancelling["cancelling_at"], int)
        done = server.await_batch(batch)
        self.assertEqual(done["status"], "cancelled")
        self.assertIsInstance(done["cancelled_at"], int)
        self.assertGreater(done["request_counts"]["completed"], 0)
        ended = server.content(done["output_file_id"]).body.splitlines()
        self.assertEqual(len(ended), done["request_counts"]["completed"])
        again = server.request("POST", f"/v1/batches/{batch}/cancel")
        self.assertEqual((again.status, again.json()["status"]), (200, "cancelled"))


class Idempotency(ServeCase):
    def create(self, server, key=None, header=None, **more):
        headers = {"Idempotency-Key": header} if header else None
        if key:
            more["idempotency_key"] = key
        return server.create_batch("file-none", headers=headers, **more)

    def test_one_batch_for_a_key(self):
        server = self.start_server(config=FAKE)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda i: self.create(server, **({"key": "k"} if i % 2 else {"header": "k"})),
                                    range(24)))
        self.assertEqual({answer.status for answer in answers}, {200})
        (batch,) = {answer.json()["id"] for answer in answers}
        self.assertEqual(len(server.request("GET", "/v1/batches").json()["data"]), 1)
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server = self.start_server(config=FAKE)
        self.assertEqual(self.create(server, "k", "k").json()["id"], batch)
        self.assertNotEqual(self.create(server).json()["id"], batch)

    def test_a_key_that_does_not_fit_is_refused(self):
        server = self.start_server(config=FAKE)
        self.create(server, "k")
        other = self.create(server, "k", metadata={"other": "1"})
        self.assertEqual((other.status, other.headers["x-should-retry"]), (409, "false"))
        self.assertIn("conflict", other.json()["error"]["message"])
        differ = self.create(server, "k", "k2")
        self.assertEqual(differ.status, 400)
        for name in ("Idempotency-Key", "idempotency_key"):
            self.assertIn(name, differ.json()["error"]["message"])
        self.assertEqual(self.create(server, "k" * 129).status, 400)


class Uploads(ServeCase):
    def create(self, server, size, purpose="batch", **more):
        return server.request("POST", "/v1/uploads", {
            "bytes": size, "filename": "big.jsonl", "mime_type": "application/jsonl", "purpose": purpose, **more})

    def part(self, server, upload, data):
        head = (f'--{MULTIPART}\r\nContent-Disposition: form-data; name="data"; filename="blob"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n").encode()
        tail = f"\r\n--{MULTIPART}--\r\n".encode()
        return server.request("POST", f"/v1/uploads/{upload}/parts", head + data + tail, {
            "Content-Type": f"multipart/form-data; boundary={MULTIPART}"})

    def test_parts_survive_kills_and_become_a_batch(self):
        text = batch_file(300).encode()
        server = self.start_server(config=FAKE)
        created = self.create(server, len(text)).json()
        self.assertEqual((created["object"], created["status"], created["file"]), ("upload", "pending", None))
        self.assertEqual(created["expires_at"] - created["created_at"], 3600)
        pieces = [text[at:at + 9000] for at in range(0, len(text), 9000)]
        parts = []
        for piece in reversed(pieces):  # in any order
            part = self.part(server, created["id"], piece).json()
            self.assertEqual((part["object"], part["upload_id"]), ("upload.part", created["id"]))
            parts.insert(0, part["id"])
            if len(parts) in (1, len(pieces) - 1):
                os.killpg(server.process.pid, signal.SIGKILL)
                server.process.wait()
                server = self.start_server(config=FAKE)
        body = {"part_ids": parts, "md5": hashlib.md5(text).hexdigest()}
        done = server.request("POST", f"/v1/uploads/{created['id']}/complete", body)
        self.assertEqual(done.status, 200, done.body)
        file = done.json()["file"]
        self.assertEqual((done.json()["status"], file["bytes"], file["purpose"]), ("completed", len(text), "batch"))
        again = server.request("POST", f"/v1/uploads/{created['id']}/complete", body)
        self.assertEqual(again.json(), done.json())
        self.assertEqual(server.content(file["id"]).body, text)
        batch = server.await_batch(server.create_batch(file["id"]).json()["id"])
        self.assertEqual(batch["request_counts"], {"total": 300, "completed": 300, "failed": 0})

    def test_what_does_not_fit_is_refused(self):
        server = self.start_server(config=FAKE)
        too_large = self.create(server, (8 << 30) + 1)
        self.assertEqual((too_large.status, too_large.json()["error"]["param"]), (400, "bytes"))
        upload = self.create(server, 6, purpose="user_data").json()["id"]
        first, second = (self.part(server, upload, data).json()["id"] for data in (b"abc", b"def"))
        complete = f"/v1/uploads/{upload}/complete"
        for body, param in (({"part_ids": [first]}, "part_ids"), ({"part_ids": [first, "part_x"]}, "part_ids[1]"),
                            ({"part_ids": [first, second], "md5": "0" * 32}, "md5"), ({}, "part_ids")):
            answer = server.request("POST", complete, body)
            self.assertEqual((answer.status, answer.json()["error"]["param"]), (400, param))
        self.assertEqual(self.part(server, upload, b"").status, 400)
        cancelled = server.request("POST", f"/v1/uploads/{upload}/cancel").json()
        self.assertEqual(cancelled["status"], "cancelled")
        for answer in (self.part(server, upload, b"x"), server.request("POST", complete, {"part_ids": [first]})):
            self.assertEqual((answer.status, answer.headers["x-should-retry"]), (409, "false"))
        self.assertEqual(server.request("POST", "/v1/uploads/upload_none/cancel").status, 404)
        blobs = lambda: [name for name in os.listdir(self.dir / "inferq-data/blobs") if name.endswith((".blob", ".part"))]
        self.assertTrue(wait_for(lambda: not blobs()), "the parts of a cancelled upload are removed")


class OpenAiLimits(ServeCase):
    def test_they_are_kept(self):
        server = self.start_server(config="openai_limits = true\n" + FAKE)
        file = server.upload(batch_file(50_001)).json()["id"]
        batch = server.await_batch(server.create_batch(file).json()["id"])
        self.assertEqual(batch["status"], "failed")
        self.assertEqual(batch["errors"]["data"][0]["code"], "too_many_lines")
        self.assertIn("50000", batch["errors"]["data"][0]["message"])
        large = server.request("POST", "/v1/files", b"", {
            "Content-Type": f"multipart/form-data; boundary={MULTIPART}", "Content-Length": str(600 << 20)})
        self.assertEqual(large.status, 413)

    def test_two_thousand_batches_an_hour(self):
        server = self.start_server(config="openai_limits = true\n" + FAKE)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: server.create_batch("file-none").status, range(2000)))
        self.assertEqual(set(answers), {200})
        answer = server.create_batch("file-none")
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (429, "rate_limit_exceeded"))
        self.assertEqual(answer.headers["retry-after"], "60")

    def test_ours_are_wider(self):
        server = self.start_server(config=FAKE)
        begin = time.monotonic()
        batch = server.create_batch(server.upload(batch_file(50_001, max_tokens=1)).json()["id"]).json()["id"]
        self.assertTrue(wait_for(lambda: server.batch(batch)["status"] == "in_progress"), time.monotonic() - begin)


if __name__ == "__main__":
    unittest.main()
