#!/usr/bin/env python3
"""An external worker of inferq: claims tasks of some kinds, does them, reports. Standard library only.

    examples/clients/worker.py --kinds reverse,sleep --tasks 10

Put your own functions into HANDLERS. One that raises fails its attempt, and the task is tried again; one that raises
Refused fails the task for good. SIGTERM and Ctrl-C hand back what is not done, without burning an attempt. INFERQ_SERVER
and INFERQ_API_KEY name the server and the key. docs/workers.md has the protocol.
"""

import argparse
import http.client
import json
import os
import random
import signal
import socket
import sys
import threading
import time
import urllib.parse

HEARTBEAT_SECONDS = 5
LEASE_SECONDS = 30


class Refused(Exception):
    """The task cannot be done, now or later."""


class Stop(BaseException):
    """The process was told to end."""


def reverse(payload, _gone):
    """An example: a text backwards."""
    if not isinstance(payload, str):
        raise Refused("the payload must be a text")
    return payload[::-1]


def sleep(payload, gone):
    """An example of long work, which looks now and then whether it is still wanted."""
    end = time.monotonic() + float(payload)
    while time.monotonic() < end and not gone():
        time.sleep(0.05)
    return {"slept": payload}


HANDLERS = {"reverse": reverse, "sleep": sleep}


class Server:
    """Calls of /v1/workers. Repeats what failed for a reason that passes; every call may be repeated."""

    def __init__(self, url, key):
        self.url = urllib.parse.urlparse(url)
        self.headers = {"Content-Type": "application/json"}
        if key:
            self.headers["Authorization"] = f"Bearer {key}"

    def call(self, what, body, timeout=30):
        pause = 0.2
        while True:
            try:
                status, headers, answer = self._post(what, body, timeout)
            except (OSError, http.client.HTTPException) as error:
                print(f"{what}: {error}; again in {pause:.1f} s", file=sys.stderr, flush=True)
            else:
                if status == 200:
                    return json.loads(answer)
                if status not in (408, 429, 500, 502, 503, 504):
                    raise RuntimeError(f"{what} was answered {status}: {answer.decode(errors='replace')}")
                pause = max(pause, float(headers.get("retry-after", 0)))
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, 10)

    def _post(self, what, body, timeout):
        kind = http.client.HTTPSConnection if self.url.scheme == "https" else http.client.HTTPConnection
        connection = kind(self.url.hostname, self.url.port, timeout=timeout)
        try:
            connection.request("POST", f"{self.url.path}/workers/{what}", json.dumps(body), self.headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()


def claim_of(task):
    return task["id"], task["fence"]


def items(claims):
    return [{"id": id, "fence": fence} for id, fence in claims]


class Worker:
    def __init__(self, server, name, kinds, tasks, wait):
        self.server, self.name = server, name
        self.claim_body = {"kinds": kinds, "max_tasks": tasks, "lease_seconds": LEASE_SECONDS,
                           "wait_seconds": wait}
        self.timeout = wait + 30
        self.lock = threading.Lock()
        self.held = set()      # (id, fence) of what was claimed and not reported
        self.unwanted = set()  # of these, cancelled or lost: drop them
        self.capacity = tasks

    def run(self):
        threading.Thread(target=self.beat, daemon=True).start()
        try:
            tasks = []
            while True:
                tasks = self.report(self.do(tasks)) if tasks else self.claim()
        except Stop:
            # From here on nothing interrupts us.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.release()

    def claim(self):
        return self.take(self.server.call("claim", {"worker": self.name, **self.claim_body},
                                          self.timeout)["tasks"])

    def take(self, tasks):
        with self.lock:
            self.held.update(map(claim_of, tasks))
        return tasks

    def do(self, tasks):
        """Does the tasks one by one. @return items for the calls: those that are done, those that failed."""
        done, failed = [], []
        for task in tasks:
            item = {"id": task["id"], "fence": task["fence"]}
            if claim_of(task) in self.unwanted:
                continue
            try:
                gone = lambda claim=claim_of(task): claim in self.unwanted
                result = HANDLERS[task["kind"]](task["payload"], gone)
                done.append({**item, "result": result})
            except Refused as error:
                failed.append({**item, "retryable": False,
                               "error": {"code": "refused", "message": str(error) or "refused"}})
            except Exception as error:  # any other: an attempt failed
                failed.append({**item, "error": {"message": f"{type(error).__name__}: {error}"}})
        return done, failed

    def report(self, ended):
        """Reports how tasks ended and claims the next in the same call."""
        done, failed = ended
        if failed:
            self.server.call("fail", {"worker": self.name, "tasks": failed})
        claimed = []
        if done:
            answer = self.server.call("complete", {"worker": self.name, "tasks": done,
                                                   "claim": self.claim_body}, self.timeout)
            for task in answer["tasks"]:
                if not task["ok"]:  # somebody else has it, or it was cancelled: nothing is left to do
                    print(f"{task['id']}: {task['error']['message']}", file=sys.stderr, flush=True)
            claimed = answer["claimed"]
        with self.lock:
            self.held.clear()
            self.unwanted.clear()
        return self.take(claimed)

    def beat(self):
        """Renews all leases at once, and hears what is not wanted any more."""
        while True:
            with self.lock:
                held = list(self.held)
            try:
                answer = self.server.call("heartbeat", {
                    "worker": self.name, "version": "example", "capacity": self.capacity,
                    "lease_seconds": LEASE_SECONDS, "tasks": items(held)})
            except RuntimeError as error:
                print(error, file=sys.stderr, flush=True)
            else:
                self.unwanted.update(claim for claim, task in zip(held, answer["tasks"])
                                     if task["state"] != "held")
            time.sleep(HEARTBEAT_SECONDS)

    def release(self):
        with self.lock:
            held = list(self.held)
        if held:
            self.server.call("release", {"worker": self.name, "tasks": items(held)})
        print(f"handed back {len(held)} tasks", flush=True)


def main():
    parser = argparse.ArgumentParser(description="An external worker of inferq.")
    parser.add_argument("--url", default=os.environ.get("INFERQ_SERVER", "http://127.0.0.1:8080/v1").rstrip("/"))
    parser.add_argument("--name", default=f"{socket.gethostname()}-{os.getpid()}")
    parser.add_argument("--kinds", default=",".join(HANDLERS))
    parser.add_argument("--tasks", type=int, default=10, help="claimed at once")
    parser.add_argument("--wait", type=float, default=30, help="seconds that a claim waits for work")
    options = parser.parse_args()

    def stop(_signal, _frame):
        raise Stop

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    server = Server(options.url, os.environ.get("INFERQ_API_KEY"))
    print(f"{options.name} works on {options.kinds}", flush=True)
    Worker(server, options.name, options.kinds.split(","), options.tasks, options.wait).run()


if __name__ == "__main__":
    main()
