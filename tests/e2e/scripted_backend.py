"""An OpenAI-compatible server that sends exactly the bytes that a test tells it to, and notes what it got. Standard library only."""

import json
import socket
import threading
import time

CLOSE = "close"    # ends the connection
HANGUP = "hangup"  # waits until the client ends it

STREAM_HEAD = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
END = b"0\r\n\r\n"


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(value):
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def delta(text, reason=None):
    return event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [
        {"index": 0, "delta": {"content": text} if text is not None else {}, "finish_reason": reason}]})


DONE = event(b"[DONE]")


def streamed(*texts, reason="stop"):
    """The steps of a good stream."""
    return [STREAM_HEAD, *(chunk(delta(text)) for text in texts), chunk(delta(None, reason)), chunk(DONE), END]


def answer(status, value, headers=""):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return [b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s"
            % (status, headers.encode(), len(data), data)]


def completion(text, reason="stop", **message):
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "up", "own": 7, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}


class ScriptedBackend:
    """`script(body, n)` gives the steps of the answer to the n-th request: bytes, seconds to wait, CLOSE or HANGUP."""

    def __init__(self, script):
        self.script, self.lock = script, threading.Lock()
        self.bodies, self.heads, self.hangups = [], [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connections = []
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        buffer = b""
        try:
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = connection.recv(1 << 20)
                    if not data:
                        return
                    buffer += data
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                               if line.lower().startswith(b"content-length:")), 0)
                parts = [buffer]
                have = len(buffer)
                while have < length:
                    parts.append(connection.recv(1 << 20))
                    have += len(parts[-1])
                data = b"".join(parts)
                body, buffer = data[:length], data[length:]
                if not self.reply(connection, head, body):
                    return
        except OSError:
            pass
        finally:
            connection.close()

    def reply(self, connection, head, body):
        """False when the connection has ended."""
        if head.startswith(b"GET "):
            steps = answer(200, {"object": "list", "data": []})
        else:
            with self.lock:
                self.bodies.append(body)
                self.heads.append(head)
                n = len(self.bodies)
            steps = self.script(body, n)
        for step in steps:
            if step == CLOSE:
                connection.shutdown(socket.SHUT_RDWR)
                return False
            if step == HANGUP:
                connection.settimeout(30)
                if self.is_gone(connection):
                    with self.lock:
                        self.hangups += 1
                return False
            if isinstance(step, (int, float)):
                time.sleep(step)
            else:
                connection.sendall(step)
        return True

    @staticmethod
    def is_gone(connection):
        try:
            return connection.recv(1) == b""
        except ConnectionResetError:
            return True

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # ends accept
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
