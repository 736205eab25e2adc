"""Holds what a server said against docs/api/openapi.yaml.

Strict on purpose: a path, method, status, content type, query parameter or field that the page does not have fails the
test that met it, as does a field that is missing or of another type. So does a request that the server accepts and the
page forbids.
"""

import functools
import gzip
import json
import pathlib
import re
import urllib.parse

try:
    import jsonschema
    import yaml
except ImportError as error:
    raise ImportError("tools/setup.sh installs python3-jsonschema and python3-yaml for /usr/bin/python3") from error

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/api/openapi.yaml"
LONGEST_REQUEST = 100_000  # bytes; validating longer ones takes too long
UNKNOWN_PATH = (400, 404)  # a bad tenant is a 400
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"  # how such bodies begin, and JSON never does


class Mismatch(AssertionError):
    """The server and its description differ."""


class Description:
    def __init__(self, page):
        self.page = page
        self.resolver = jsonschema.RefResolver("", page)
        self.paths = [(self._pattern(path, item), path, item) for path, item in page["paths"].items()]
        self.paths.sort(key=lambda each: each[1].count("{"))  # "/tasks/cancel" before "/tasks/{id}"

    def check(self, method, target, request_body, status, headers, body):
        """Raises Mismatch. `headers` are those of the answer, in lower case; both bodies are bytes, or None."""
        try:
            self._check("GET" if method == "HEAD" else method, target, request_body, status, headers, body,
                        has_body=method != "HEAD")
        except Mismatch as problem:
            raise Mismatch(f"{method} {target} answered {status}: {problem}\n"
                           f"docs/api/openapi.yaml does not say so. The body: {(body or b'')[:2000]!r}") from None

    def _check(self, method, target, request_body, status, headers, body, has_body):
        url = urllib.parse.urlsplit(target)
        item = self._find(urllib.parse.unquote(url.path))
        if item is None:
            if status not in UNKNOWN_PATH:
                raise Mismatch("no such path is described")
            return self._check_json(self._schema_of_error(), body)
        operation = item.get(method.lower())
        if operation is None:
            if status != 405 or "allow" not in headers:
                raise Mismatch("the path has no such method")
            return self._check_json(self._schema_of_error(), body)
        response = self._response(operation, status)
        self._check_headers(response, status, headers)
        if has_body:
            self._check_body(response, headers, body)
        if status < 300:
            self._check_request(item, operation, url.query, request_body)

    @staticmethod
    def _pattern(path, item):
        slashes = any(parameter.get("x-slashes") for parameter in item.get("parameters", []))
        return re.compile(re.sub(r"\\\{\w+\\\}", ".+" if slashes else "[^/]+", re.escape(path)))

    def _find(self, path):
        path = re.sub(r"^/t/[^/]+(?=/|$)", "", path.rstrip("/"))
        path = re.sub(r"^/v1(?=/|$)", "", path)
        return next((item for pattern, _, item in self.paths if pattern.fullmatch(path)), None)

    def _resolved(self, node):
        while "$ref" in node:
            node = self.resolver.resolve(node["$ref"])[1]
        return node

    def _response(self, operation, status):
        responses = operation["responses"]
        if str(status) in responses:
            return self._resolved(responses[str(status)])
        response = self._resolved(responses.get("default", {}))
        if status not in response.get("x-statuses", []):
            raise Mismatch("no such status is described")
        return response

    def _check_headers(self, response, status, headers):
        if status < 400 and not headers.get("x-request-id"):
            raise Mismatch("it has no x-request-id")
        for name, header in response.get("headers", {}).items():
            header = self._resolved(header)
            if name in headers:
                self._check_text(name, header["schema"], headers[name])
            elif header.get("required"):
                raise Mismatch(f"it has no header {name}")

    def _check_text(self, name, schema, text):
        value = int(text) if schema.get("type") == "integer" and text.lstrip("-").isdigit() else text
        self._validate(schema, value, f"header {name}")

    def _check_body(self, response, headers, body):
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        if kind not in response["content"]:
            raise Mismatch(f"its content type is {kind or 'missing'}")
        content = response["content"][kind]
        if kind == "text/event-stream":
            self._check_events(content, body)
        elif kind == "application/jsonl":
            for line in body.splitlines():
                self._check_json(content["x-line"], line)
        elif kind == "application/json":
            self._check_json(content["schema"], body)

    def _check_events(self, content, body):
        schema, fields = content["x-event"], tuple(f"{name}: " for name in content.get("x-fields", []))
        for event in body.decode().split("\n\n"):
            for line in event.splitlines():
                if line.startswith((":", *fields)) or line == "data: [DONE]":
                    continue
                if not line.startswith("data: "):
                    raise Mismatch(f"a stream has the line {line!r}")
                text = line.removeprefix("data: ").encode()
                self._check_json(self._schema_of_error() if text.startswith(b'{"error"') else schema, text)

    def _check_json(self, schema, body):
        try:
            value = json.loads(body)
        except ValueError as error:
            raise Mismatch(f"its body is not JSON ({error})") from None
        self._validate(schema, value, "the answer")

    def _check_request(self, item, operation, query, body):
        described = [self._resolved(each) for each in item.get("parameters", []) + operation.get("parameters", [])]
        names = {each["name"] for each in described if each["in"] == "query"}
        for name, _ in urllib.parse.parse_qsl(query, keep_blank_values=True):
            if name not in names:
                raise Mismatch(f"it took the parameter {name!r}")
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if isinstance(body, bytes) and body.startswith(GZIP):
            body = gzip.decompress(body)
        if isinstance(body, bytes) and body.startswith(ZSTD):
            return
        if schema and body and len(body) <= LONGEST_REQUEST:
            self._validate(schema, json.loads(body), "the request that it took")

    def _schema_of_error(self):
        return self.page["components"]["schemas"]["Error"]

    @functools.cache
    def _validator(self, identity):
        return jsonschema.Draft202012Validator(self._schemas[identity], resolver=self.resolver)

    @functools.cached_property
    def _schemas(self):
        return {}

    def _validate(self, schema, value, what):
        self._schemas[id(schema)] = schema
        error = jsonschema.exceptions.best_match(self._validator(id(schema)).iter_errors(value))
        if error:
            place = ".".join(map(str, error.absolute_path)) or "its top"
            raise Mismatch(f"{what} is wrong at {place}: {error.message[:500]}")


@functools.cache
def of_server():
    """The description of `inferq serve`."""
    return Description(yaml.safe_load(PAGE.read_text(encoding="utf-8")))
