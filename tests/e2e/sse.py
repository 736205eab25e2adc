"""A strict reader of streamed answers.

It speaks HTTP over a socket itself, so that the framing of chunks is checked, too, and takes nothing but what the strictest
clients of OpenAI's API do: `data:` lines with JSON, comments, and the mark at the end. Standard library only.
"""

import json
import socket
import time


class Raw:
    """An answer as it came over the wire. `ended`: properly, by its length or its last chunk; else it was broken off."""

    def __init__(self):
        self.status, self.headers, self.pieces, self.times = 0, {}, [], []
        self.ended = False
        self.head_after = None  # seconds from the request to the status line

    @property
    def body(self):
        return b"".join(self.pieces)

    def json(self):
        return json.loads(self.body)


class Reader:
    def __init__(self, connection):
        self.connection, self.buffer = connection, b""

    def fill(self):
        """False at the end of the connection, however it came."""
        try:
            data = self.connection.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def line(self):
        while b"\r\n" not in self.buffer:
            if not self.fill():
                return None
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        assert b"\n" not in line, f"a bare line feed in {line!r}"
        return line

    def exactly(self, size):
        while len(self.buffer) < size:
            if not self.fill():
                return None
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data


def open_request(host, port, body, path="/v1/chat/completions", headers=None, timeout=60):
    """Sends a request and returns its connection, for tests that hang up."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(data)}", "Accept: application/json",
             "Content-Type: application/json", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    connection = socket.create_connection((host, port), timeout=timeout)
    try:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before its end; the answer says why
    return connection


def read_answer(connection, began=None):
    """Reads one answer to its end, in chunks or by its length."""
    began = began or time.monotonic()
    reader, raw = Reader(connection), Raw()
    status = reader.line()
    assert status is not None, "the connection ended without an answer"
    version, code, _ = status.split(b" ", 2)
    assert version == b"HTTP/1.1", status
    raw.status, raw.head_after = int(code), time.monotonic() - began
    while (line := reader.line()) != b"":
        assert line is not None, "the connection ended in the head"
        name, value = line.split(b":", 1)
        assert name == name.strip() and name.lower().decode() not in raw.headers, line
        raw.headers[name.lower().decode()] = value.strip().decode()
    if raw.headers.get("transfer-encoding") != "chunked":
        assert "transfer-encoding" not in raw.headers
        body = reader.exactly(int(raw.headers["content-length"]))
        raw.pieces, raw.ended = [body or b""], body is not None
        return raw
    assert "content-length" not in raw.headers, "two ways to tell the length"
    while (size := reader.line()) is not None:
        assert size and all(c in b"0123456789abcdefABCDEF" for c in size), f"no size of a chunk: {size!r}"
        length = int(size, 16)
        data = reader.exactly(length + 2)
        if data is None:
            return raw  # broken in the middle of a chunk
        assert data.endswith(b"\r\n"), "a chunk without its line end"
        if length == 0:
            raw.ended = True
            assert not reader.buffer, "something behind the last chunk"
            return raw
        raw.pieces.append(data[:-2])
        raw.times.append(time.monotonic() - began)
    return raw


def request(host, port, body, path="/v1/chat/completions", headers=None, timeout=60):
    began = time.monotonic()
    with open_request(host, port, body, path, headers, timeout) as connection:
        return read_answer(connection, began)


class Stream:
    """What a stream said."""

    def __init__(self):
        self.events, self.comments, self.text = [], 0, ""
        self.done, self.error, self.finish_reason, self.usage = False, None, None, None


def lines_of(raw):
    text = raw.body.decode()  # UTF-8, or it fails
    assert "\r" not in text, "carriage returns in the stream"
    assert text == "" or text.endswith("\n\n"), f"a torn event at the end: {text[-80:]!r}"
    return text.split("\n\n")[:-1]


def check_head(raw):
    assert raw.status == 200, f"{raw.status}: {raw.body!r}"
    assert raw.headers["content-type"].split(";")[0] == "text/event-stream", raw.headers
    assert "no-cache" in raw.headers["cache-control"], raw.headers


def check_chunk(chunk, chat, stream):
    assert isinstance(chunk["choices"], list), chunk
    for choice in chunk["choices"]:
        said = choice["delta"].get("content") if chat else choice["text"]
        assert said is None or isinstance(said, str), chunk
        if choice.get("index", 0) == 0:
            stream.text += said or ""
            stream.finish_reason = choice.get("finish_reason") or stream.finish_reason
    stream.usage = chunk.get("usage") or stream.usage


def check(raw, chat=True):
    """Holds a streamed chat (or completion) to the rules, whether it ended well or was broken off."""
    check_head(raw)
    stream = Stream()
    for event in lines_of(raw):
        assert "\n" not in event, f"an event of several lines: {event!r}"
        if event.startswith(":"):
            stream.comments += 1
            continue
        assert event.startswith("data: "), f"neither data nor a comment: {event!r}"
        assert not stream.done and stream.error is None, f"behind the end: {event!r}"
        if event == "data: [DONE]":
            stream.done = True
            continue
        value = json.loads(event[len("data: "):])
        stream.events.append(value)
        if "error" in value:
            stream.error = value["error"]
            assert set(stream.error) == {"message", "type", "param", "code"} and stream.error["message"], value
        else:
            check_chunk(value, chat, stream)
    assert raw.ended == stream.done, "a clean end and [DONE] belong together"
    assert raw.ended != (stream.error is not None), "a broken stream says why"
    return stream


def check_response(raw):
    """The same for a stream of /v1/responses."""
    check_head(raw)
    stream = Stream()
    for event in lines_of(raw):
        if event.startswith(":"):
            assert "\n" not in event, event
            stream.comments += 1
            continue
        kind, data = event.split("\n")
        assert kind.startswith("event: ") and data.startswith("data: "), event
        value = json.loads(data[len("data: "):])
        assert value["type"] == kind[len("event: "):], event
        assert value["sequence_number"] == len(stream.events), event
        assert not stream.done and stream.error is None, f"behind the end: {event!r}"
        stream.events.append(value)
        if value["type"] in ("response.completed", "response.incomplete"):
            stream.done = True
        if value["type"] in ("response.failed", "error"):
            stream.error = value
        if value["type"] == "response.output_text.delta":
            stream.text += value["delta"]
    assert raw.ended == stream.done, "a clean end and a completed response belong together"
    assert raw.ended != (stream.error is not None), "a broken stream says why"
    return stream
