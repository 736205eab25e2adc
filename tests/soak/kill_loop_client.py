"""HTTP for the kill loop, over one connection that is kept. Standard library only."""

import http.client
import json
import time

PASSES = (408, 429, 500, 502, 503, 504)


class Lost(Exception):
    """No answer came: the call may have taken effect or not."""


class Client:
    """One thread's connection to the server."""

    def __init__(self, port):
        self.port = port
        self.connection = None

    def request(self, method, path, body=None, headers=None, timeout=10):
        """@return status and body. Lost when the server died over it, or was not there."""
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
            self.connection.request(method, path, body, headers or {})
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Lost(str(error)) from error

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def post(self, path, body, headers=None, timeout=10):
        """@return the parsed answer; Lost also for what passes by itself. Anything else is a bug of the caller or ours."""
        status, answer = self.request("POST", path, json.dumps(body).encode(),
                                      {"Content-Type": "application/json", **(headers or {})}, timeout)
        return self.parsed(path, status, answer)

    def get(self, path):
        return self.parsed(path, *self.request("GET", path))

    def parsed(self, path, status, answer):
        if status in PASSES:
            raise Lost(f"{path} was answered {status}")
        if status != 200:
            raise RuntimeError(f"{path} was answered {status}: {answer.decode(errors='replace')}")
        return json.loads(answer)

    def until_answered(self, call, *arguments, **more):
        """Repeats the call until it is answered."""
        while True:
            try:
                return call(*arguments, **more)
            except Lost:
                time.sleep(0.05)
