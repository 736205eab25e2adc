"""A worker of the kill loop: does tasks, badly at times, and logs what it said and what it heard.

    kill_loop_worker.py PORT NAME LOG SEED LEASE_SECONDS

A line is in LOG before the call that it announces, so a kill cannot hide what may have been said.
"""

import json
import os
import random
import sys
import time

from kill_loop_client import Client

KINDS = ["soak"]


class Log:
    """One line for each event, each in one write: a kill tears none."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, events):
        now = time.monotonic()
        os.write(self.fd, b"".join(json.dumps({"at": now, **event}).encode() + b"\n" for event in events))


class Worker:
    def __init__(self, port, name, log, seed, lease):
        self.client, self.name, self.log = Client(port), name, Log(log)
        self.rng, self.lease, self.said = random.Random(seed), lease, 0

    def run(self):
        tasks = []
        while True:
            tasks = self.work(tasks) if tasks else self.take(
                self.call("claim", **self.claim())["tasks"])

    def claim(self):
        return {"kinds": KINDS, "max_tasks": self.rng.choice((1, 5, 20, 50)),
                "lease_seconds": self.lease, "wait_seconds": 1}

    def take(self, tasks):
        self.log.write([{"event": "claim", "id": task["id"], "fence": task["fence"],
                         "attempt": task["attempt"], "token": task["payload"]["token"]}
                        for task in tasks])
        return tasks

    def call(self, what, **body):
        return self.client.until_answered(self.client.post, f"/v1/workers/{what}",
                                          {"worker": self.name, **body})

    def work(self, tasks):
        """Ends the tasks in one way or another. @return those claimed with it."""
        time.sleep(self.rng.uniform(0, 0.03))
        if self.rng.random() < 0.01:
            time.sleep(self.lease * 1.3)  # past the lease
        groups = {"complete": [], "fail": [], "refuse": [], "release": []}
        for task in tasks:
            how = self.rng.choices(list(groups), (92, 5, 1, 2))[0]
            groups[how].append({"id": task["id"], "fence": task["fence"]})
        self.end("fail", "fail", groups["fail"])
        self.end("refuse", "fail", groups["refuse"], retryable=False)
        if groups["release"]:
            self.call("release", tasks=groups["release"])
        return self.complete(groups["complete"])

    def complete(self, items):
        claim = {"claim": self.claim()} if self.rng.random() < 0.8 else {}
        answer = self.end("complete", "complete", items, **claim)
        return self.take(answer.get("claimed", []))

    def end(self, how, what, items, retryable=None, **more):
        """Says how tasks ended, each with a word that nobody else ever says."""
        if not items:
            return {}
        words = [self.word(item) for item in items]
        for item, word in zip(items, words):
            if what == "complete":
                item["result"] = word
            else:
                item["error"] = {"code": "soak", "message": word}
            if retryable is not None:
                item["retryable"] = retryable
        self.log.write([{"event": "say", "how": how, "id": item["id"], "fence": item["fence"],
                         "word": word} for item, word in zip(items, words)])
        answer = self.call(what, tasks=items, **more)
        self.log.write([{"event": "hear", "how": how, "id": item["id"], "word": word, "ok": each["ok"],
                         "code": each["error"]["code"] if not each["ok"] else None}
                        for item, word, each in zip(items, words, answer["tasks"])])
        return answer

    def word(self, item):
        self.said += 1
        return f"{self.name}:{self.said}:{item['id']}:{item['fence']}"


if __name__ == "__main__":
    port, name, log, seed, lease = sys.argv[1:]
    Worker(int(port), name, log, seed, int(lease)).run()
