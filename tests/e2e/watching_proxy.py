"""Stands between a client that is not ours and a server, passes everything on as it comes, and holds each answer
against docs/api/openapi.yaml."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import description
from harness import wait_for

OF_THE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "content-length", "host")


class WatchingProxy:
    """On a free port of 127.0.0.1 until `close`. `problems` says what did not fit."""

    def __init__(self, port):
        self.problems, self._under_way, self._lock = [], 0, threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                proxy._count(1)
                try:
                    proxy._pass_on(self, port)
                finally:
                    proxy._count(-1)

            do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = do_PUT = handle_any

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        """Waits for judgements: a client may have its answer before it was judged."""
        self._server.shutdown()
        wait_for(lambda: self._under_way == 0, timeout=10)
        self._server.server_close()

    def _count(self, change):
        with self._lock:
            self._under_way += change

    def _pass_on(self, client, port):
        body = read_body(client)
        upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        try:
            headers = {name: value for name, value in client.headers.items() if name.lower() not in OF_THE_CONNECTION}
            upstream.request(client.command, client.path, body=body, headers=headers)
            answer = upstream.getresponse()
            whole = self._pass_back(client, answer)
        except (OSError, http.client.HTTPException):
            client.close_connection = True  # one side is gone: so is the other, without a clean end
            return
        finally:
            upstream.close()
        self._judge(client.command, client.path, body, answer, whole)

    @staticmethod
    def _pass_back(client, answer):
        client.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in OF_THE_CONNECTION or name.lower() == "content-length":
                client.send_header(name, value)
        chunked = answer.getheader("content-length") is None and client.command != "HEAD"
        if chunked:
            client.send_header("Transfer-Encoding", "chunked")
        client.end_headers()
        whole = b""
        while piece := answer.read1(65536):
            client.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            client.wfile.flush()
            whole += piece
        if chunked:
            client.wfile.write(b"0\r\n\r\n")
        return whole

    def _judge(self, method, path, body, answer, whole):
        headers = {name.lower(): value for name, value in answer.getheaders()}
        try:
            description.of_server().check(method, path, body, answer.status, headers, whole)
        except description.Mismatch as problem:
            with self._lock:
                self.problems.append(str(problem))


def read_body(client):
    """The body of a request, whichever way its length is told; None without one."""
    if client.headers.get("Transfer-Encoding", "").lower() == "chunked":
        body = b""
        while size := int(client.rfile.readline().split(b";")[0], 16):
            body += client.rfile.read(size)
            client.rfile.readline()
        client.rfile.readline()
        return body
    length = client.headers.get("Content-Length")
    return client.rfile.read(int(length)) if length else None
