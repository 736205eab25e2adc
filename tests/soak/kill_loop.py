#!/usr/bin/env python3
"""Kills a loaded `inferq serve`, over and over, and proves that nothing was lost or done twice. Standard library only.

    tests/soak/kill_loop.py --minutes 10 --json out/kill_loop.json

Submitters send single tasks, arrays, families of parents and children, tasks for a model and batches, partly with
idempotency keys; what lost its answer is sent again under the same key. Worker processes do the tasks, and fail, hand back
or oversleep some. Meanwhile the server is killed (SIGKILL) every 1 to 6 seconds, at times while it recovers, and starts
again on the same store; workers are killed too, or stopped (SIGSTOP) past their leases and woken to complete late. At the
end all of it calms down, the work drains, and kill_loop_check.py compares what the server shows with what it acknowledged
and with what the workers said and heard. Exit status 1, and the evidence kept, when any promise is broken.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from kill_loop_check import Check
from kill_loop_client import Client, Lost

HERE = pathlib.Path(__file__).parent
BIN = pathlib.Path(os.environ.get("INFERQ_BIN", HERE / "../../build/release/bin")).resolve()
LEASE_SECONDS = 2
LIVE = ("blocked", "queued", "leased", "running")
CONFIG = """
[[model]]
name = "m"
fake = true
ttft = "20ms"
itl = "1ms"
concurrency = 16
fail_rate = 0.02
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """`inferq serve` on one port and one store, however often it dies."""

    def __init__(self, directory):
        self.directory, self.port, self.process = directory, free_port(), None
        (directory / "inferq.toml").write_text(CONFIG)

    def start(self):
        with open(self.directory / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [BIN / "inferq", "serve", "--listen", f"127.0.0.1:{self.port}", "--admin-listen", ""],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)

    def kill(self):
        """@return false when it had died by itself, which nothing excuses."""
        alive = self.process.poll() is None
        if alive:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return alive

    def await_ready(self, seconds=60):
        client, end = Client(self.port), time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if client.request("GET", "/readyz")[0] == 200:
                    return client.close()
            except Lost:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"the server is not ready; its log is {self.directory}/server.log")


class Workers:
    """The worker processes. One that was killed is replaced by another of a new name."""

    def __init__(self, directory, port, count, rng):
        self.directory, self.port, self.rng = directory, port, rng
        self.started, self.running, self.stopped = 0, [], []
        self.kills = self.stops = 0
        for _ in range(count):
            self.start()

    def start(self):
        self.started += 1
        name = f"w{self.started}"
        self.running.append(subprocess.Popen(
            [sys.executable, HERE / "kill_loop_worker.py", str(self.port), name,
             self.directory / f"{name}.events", str(self.rng.random()), str(LEASE_SECONDS)],
            stdin=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}))

    def kill_one(self):
        worker = self.running.pop(self.rng.randrange(len(self.running)))
        self.end(worker)
        self.kills += 1
        self.start()

    def stop_one(self):
        """Stops one for up to three leases."""
        worker = self.running.pop(self.rng.randrange(len(self.running)))
        worker.send_signal(signal.SIGSTOP)
        self.stopped.append((time.monotonic() + LEASE_SECONDS * self.rng.uniform(0.5, 3), worker))
        self.stops += 1

    def wake(self, all_of_them=False):
        for due, worker in list(self.stopped):
            if all_of_them or time.monotonic() >= due:
                worker.send_signal(signal.SIGCONT)
                self.stopped.remove((due, worker))
                self.running.append(worker)

    def end(self, worker):
        if worker.poll() is not None:
            raise RuntimeError(f"a worker ended by itself, with {worker.returncode}")
        worker.kill()
        worker.wait()

    def end_all(self):
        for worker in [*self.running, *(worker for _, worker in self.stopped)]:
            worker.kill()
            worker.wait()

    def events(self):
        for log in self.directory.glob("w*.events"):
            with open(log, encoding="utf-8") as lines:
                yield from map(json.loads, lines)


class Expected:
    """What the server acknowledged: written down at once, so that the file is evidence, too."""

    def __init__(self, path):
        self.file, self.lock = open(path, "w", encoding="utf-8"), threading.Lock()
        self.acks, self.batches, self.resent = [], [], 0

    def acknowledge(self, acks):
        with self.lock:
            self.acks += acks
            self.file.writelines(json.dumps(ack) + "\n" for ack in acks)
            self.file.flush()

    def acknowledge_batch(self, batch):
        with self.lock:
            self.batches.append(batch)
            self.file.write(json.dumps(batch) + "\n")
            self.file.flush()

    def some_id(self, rng):
        with self.lock:
            return rng.choice(self.acks[-1000:])["id"] if self.acks else None


class Submitter(threading.Thread):
    """Sends tasks of all shapes until it is told to end."""

    def __init__(self, name, port, expected, seed, rate, end):
        super().__init__(name=name, daemon=True)
        self.client, self.expected, self.rng = Client(port), expected, random.Random(seed)
        self.rate, self.end, self.made, self.error = rate, end, 0, None

    def run(self):
        try:
            while not self.end.is_set():
                began = time.monotonic()
                sent = self.rng.choices((self.single, self.array, self.on_model), (6, 3, 1))[0]()
                self.end.wait(max(0, began + sent / self.rate - time.monotonic()))
        except RuntimeError as error:  # an answer that nothing excuses
            self.error = error
        self.client.close()

    def spec(self, **more):
        """A task, and what is to be acknowledged of it."""
        self.made += 1
        token = f"{self.name}-{self.made}"
        spec = {"kind": "soak", "payload": {"token": token}, "max_attempts": self.rng.choice((2, 3, 100)),
                "priority": self.rng.choice((-10, 0, 0, 10)), **more}
        ack = {"token": token, "key": None, "model": "body" in spec, "max_attempts": spec["max_attempts"],
               "parents": spec.get("parents", []), "policy": spec.get("parent_policy", "all_succeeded")}
        if ack["model"]:
            del spec["kind"], spec["payload"]
        if self.rng.random() < 0.6:
            ack["key"] = spec["idempotency_key"] = f"key-{token}"
        return spec, ack

    def single(self):
        more = {}
        if self.rng.random() < 0.2 and (parent := self.expected.some_id(self.rng)):
            more = {"parents": [parent], "parent_policy": self.policy()}
        return self.send(*self.spec(**more))

    def on_model(self):
        content = f"question {self.rng.random()}"
        return self.send(*self.spec(endpoint="/v1/chat/completions", body={
            "model": "m", "messages": [{"role": "user", "content": content}], "max_tokens": 8}))

    def policy(self):
        return self.rng.choice(("all_succeeded", "all_terminal"))

    def send(self, spec, ack):
        """One task by itself. Without a key it is sent once, and if the answer is lost nothing was promised."""
        for _ in range(self.times(ack["key"])):
            if (answer := self.post(spec, ack["key"])) is None:
                break
            self.expected.acknowledge([{**ack, "id": answer["id"]}])
        return 1

    def array(self):
        """Many tasks, some of them children of those before them; sent again only if each has a key."""
        specs, acks = [], []
        for i in range(self.rng.randint(2, 40)):
            more = {}
            if i > 2 and self.rng.random() < 0.1:
                parents = self.rng.sample(range(i), 2)
                more = {"parents": [f"#{parent}" for parent in parents], "parent_policy": self.policy()}
            spec, ack = self.spec(**more)
            specs.append(spec)
            acks.append(ack)
        keys = all(ack["key"] for ack in acks) or self.rng.random() < 0.6
        for spec, ack in zip(specs, acks):
            ack["key"] = f"key-{ack['token']}" if keys else None
            spec.pop("idempotency_key", None)
            if keys:
                spec["idempotency_key"] = ack["key"]
        for _ in range(self.times(keys)):
            if (answer := self.post({"tasks": specs}, keys)) is None:
                break
            ids = [each["id"] for each in answer["data"]]
            self.expected.acknowledge([
                {**ack, "id": id, "parents": [ids[int(parent[1:])] for parent in ack["parents"]]}
                for id, ack in zip(ids, acks)])
        return len(specs)

    def times(self, key):
        """What has a key may be sent once more although it was acknowledged."""
        return 2 if key and self.rng.random() < 0.1 else 1

    def post(self, body, key):
        """@return the answer; None when there was none and nothing allows to ask again."""
        while True:
            try:
                return self.client.post("/v1/tasks", body)
            except Lost:
                if not key:
                    return None
                self.expected.resent += 1
                time.sleep(0.05)


class BatchSubmitter(Submitter):
    """Sends batches of lines for the fake model, one every few seconds."""

    def run(self):
        try:
            while not self.end.is_set():
                self.batch()
                self.end.wait(self.rng.uniform(1, 4))
        except RuntimeError as error:
            self.error = error
        self.client.close()

    def batch(self):
        self.made += 1
        lines = [f"line-{self.made}-{i}" for i in range(self.rng.randint(50, 400))]
        text = "".join(json.dumps({"custom_id": line, "method": "POST", "url": "/v1/chat/completions",
                                   "body": {"model": "m", "max_tokens": 8, "messages": [
                                       {"role": "user", "content": line}]}}) + "\n" for line in lines)
        try:
            file = self.upload(text)
            batch = self.client.post("/v1/batches", {
                "input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"})
        except Lost:  # nothing was promised
            return
        self.expected.acknowledge_batch({"id": batch["id"], "lines": lines})

    def upload(self, text):
        edge = "inferq-soak"
        head = "".join(f'--{edge}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'
                       for name, more, value in (("purpose", "", "batch"),
                                                 ("file", '; filename="input.jsonl"', text)))
        status, answer = self.client.request(
            "POST", "/v1/files", f"{head}--{edge}--\r\n".encode(),
            {"Content-Type": f"multipart/form-data; boundary={edge}"})
        return self.client.parsed("/v1/files", status, answer)["id"]


class Loop:
    def __init__(self, options, directory):
        self.options, self.rng = options, random.Random(options.seed)
        self.server = Server(directory)
        self.server.start()
        self.server.await_ready()
        self.client = Client(self.server.port)
        self.expected = Expected(directory / "expected.jsonl")
        self.workers = Workers(directory, self.server.port, options.workers, self.rng)
        self.kills = self.early_kills = 0
        self.calm = threading.Event()
        common = (self.server.port, self.expected)
        self.submitters = [Submitter(f"s{i}", *common, self.rng.random(), options.rate / 3, self.calm)
                           for i in range(3)]
        self.submitters.append(BatchSubmitter("b", *common, self.rng.random(), 1, self.calm))

    def run(self):
        """@return the history and the figures of the run itself."""
        began = time.monotonic()
        for submitter in self.submitters:
            submitter.start()
        try:
            self.disturb(began + self.options.minutes * 60)
        finally:
            self.calm.set()
        self.workers.wake(all_of_them=True)
        self.server.await_ready()
        for submitter in self.submitters:
            submitter.join()
            if submitter.error:
                raise submitter.error
        disturbed = time.monotonic() - began
        history = self.drain()
        return history, {
            "seconds disturbed": round(disturbed), "seconds in all": round(time.monotonic() - began),
            "kills of the server": self.kills, "of these while it recovered": self.early_kills,
            "kills of workers": self.workers.kills, "stops of workers": self.workers.stops,
            "submissions sent again": self.expected.resent}

    def disturb(self, end):
        server_at = kill_at = stop_at = time.monotonic() + 1
        while (now := time.monotonic()) < end:
            if now >= server_at:
                server_at = now + self.strike()
            if now >= kill_at:
                self.workers.kill_one()
                kill_at = now + self.rng.uniform(2, 6)
            if now >= stop_at and len(self.workers.running) > 2:
                self.workers.stop_one()
                stop_at = now + self.rng.uniform(1, 4)
            self.workers.wake()
            time.sleep(0.02)

    def strike(self):
        """Kills the server and starts it. @return seconds until the next time, which may come while it recovers."""
        if not self.server.kill():
            raise RuntimeError("the server died by itself")
        self.kills += 1
        self.server.start()
        if self.rng.random() < 0.2:
            self.early_kills += 1
            return self.rng.uniform(0, 0.3)
        self.server.await_ready()
        return self.rng.uniform(1, 6)

    def drain(self):
        """Waits until all has ended, and asks for everything that was acknowledged."""
        end = time.monotonic() + self.options.drain_seconds
        while (live := self.live()) and time.monotonic() < end:
            time.sleep(0.2)
        batches = [self.outcome(batch, end) for batch in self.expected.batches]
        self.workers.end_all()
        ids = {ack["id"] for ack in self.expected.acks}
        return {"acks": self.expected.acks, "events": list(self.workers.events()), "live": live,
                "tasks": {id: self.task(id) for id in ids}, "listed": self.listed(), "batches": batches}

    def get(self, path):
        return self.client.until_answered(self.client.get, path)

    def live(self):
        return sum(len(self.get(f"/v1/tasks?status={status}&limit=1000")["data"]) for status in LIVE)

    def task(self, id):
        status, answer = self.client.until_answered(self.client.request, "GET", f"/v1/tasks/{id}")
        return json.loads(answer) if status == 200 else None

    def listed(self):
        ids, after = [], ""
        while True:
            page = self.get(f"/v1/tasks?limit=1000{after}")
            ids += [task["id"] for task in page["data"] if task["batch_id"] is None]
            if not page["has_more"]:
                return ids
            after = f"&after={page['last_id']}"

    def outcome(self, batch, end):
        while (shown := self.get(f"/v1/batches/{batch['id']}"))["status"] in (
                "validating", "in_progress", "finalizing") and time.monotonic() < end:
            time.sleep(0.1)
        found = []
        for key in ("output_file_id", "error_file_id"):
            if shown[key]:
                _, text = self.client.until_answered(
                    self.client.request, "GET", f"/v1/files/{shown[key]}/content")
                found += [json.loads(line)["custom_id"] for line in text.decode().splitlines()]
        return {**batch, "status": shown["status"], "found": found}

    def close(self):
        self.calm.set()
        self.workers.end_all()
        self.server.kill()
        self.client.close()
        self.expected.file.close()


def report(figures, violations, path):
    for name, figure in figures.items():
        print(f"{name:32} {figure:>10,}")
    for sort, found in violations.items():
        for text in found[:20]:
            print(f"{sort}: {text}")
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**figures, "violations": violations}, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description="Kills a loaded server over and over; nothing may be lost.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--workers", type=int, default=6)
    parser.add_argument("--rate", type=float, default=150, help="tasks per second")
    parser.add_argument("--drain-seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here")
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="inferq_soak_"))
    print(f"seed {options.seed}, in {directory}", flush=True)
    loop = Loop(options, directory)
    try:
        history, figures = loop.run()
    finally:
        loop.close()
    (directory / "history.json").write_text(json.dumps(history))
    check = Check(history)
    violations = check.run()
    report({**figures, **check.counts()}, violations, options.json)
    if any(violations.values()):
        print(f"BROKEN: the evidence is in {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
