"""Who is next, end to end: shares, small work behind large, the bound of waiting, and prompts that begin alike.

Each test prints what it measured; bench/results/order.md has recorded figures.
"""

import os
import random
import re
import subprocess
import threading
import time
import unittest
import urllib.parse
from collections import Counter

from harness import INFERQ, batch_file, batch_line, wait_for
from serve_harness import ServeCase

LINES = int(os.environ.get("INFERQ_ORDER_LINES", "20000"))


def model(**options):
    return "[[model]]\nname = \"m\"\nfake = true\nreserved = 0\n" + "".join(
        f"{name} = {value}\n" for name, value in options.items())


class OrderCase(ServeCase):
    def start_batch(self, server, text, headers=None):
        file = server.upload(text, headers=headers)
        self.assertEqual(file.status, 200, file.body)
        return server.create_batch(file.json()["id"], headers).json()["id"]

    def completed(self, server, batch, headers=None):
        return server.batch(batch, headers)["request_counts"]["completed"]

    def await_completed(self, server, batch, lines, headers=None):
        self.assertTrue(wait_for(lambda: self.completed(server, batch, headers) >= lines))


class Shares(OrderCase):
    WEIGHTS = {"ann": 3, "bob": 1}
    SIZES = {"ann": (4, 80), "bob": (40, 160)}  # tokens of an answer

    def make_key(self, tenant):
        made = subprocess.run([INFERQ, "key", "create", "--tenant", tenant], check=True,
                              capture_output=True, text=True).stdout
        return re.search(r"iq-\S+", made).group(), re.search(r"blake2b:\w+", made).group()

    def lines(self, tenant):
        rng = random.Random(tenant)
        return "".join(batch_line(f"id-{i}", f"question {i}", ignore_eos=True,
                                  max_tokens=rng.randint(*self.SIZES[tenant])) + "\n"
                       for i in range(6000))

    def tokens(self, server):
        """Of each tenant, prompts and answers, so far."""
        text = server.request("GET", "/metrics", port=urllib.parse.urlparse(server.admin).port).body.decode()
        tokens = Counter()
        for labels, value in re.findall(r"^inferq_tokens_total\{(.*)\} (\S+)$", text, re.MULTILINE):
            tokens[re.search(r'tenant="(\w+)"', labels).group(1)] += float(value)
        return tokens

    def test_tokens_are_shared_by_weight(self):
        keys = {tenant: self.make_key(tenant) for tenant in self.WEIGHTS}
        config = model(ttft='"5ms"', itl='"1ms"', concurrency=16) + "".join(
            f'[[tenant]]\nname = "{tenant}"\nkeys = ["{keys[tenant][1]}"]\nweight = {weight}\n'
            for tenant, weight in self.WEIGHTS.items())
        server = self.start_server(config=config)
        headers = {tenant: {"Authorization": f"Bearer {key}"} for tenant, (key, _) in keys.items()}
        batches = {tenant: self.start_batch(server, self.lines(tenant), headers[tenant])
                   for tenant in self.WEIGHTS}
        for tenant, batch in batches.items():
            self.await_completed(server, batch, 50, headers[tenant])
        before = self.tokens(server)
        self.assertTrue(wait_for(lambda: (self.tokens(server) - before).total() > 80_000))
        spent = self.tokens(server) - before
        for tenant, batch in batches.items():
            self.assertEqual(server.batch(batch, headers[tenant])["status"], "in_progress")
        ratio = spent["ann"] / spent["bob"]
        print(f"tokens {spent['ann']:.0f} to {spent['bob']:.0f}: {ratio:.3f} to 1, wanted 3 to 1")
        self.assertAlmostEqual(ratio, 3, delta=0.3)


class SmallBehindLarge(OrderCase):
    def test_a_small_batch_does_not_wait_for_a_large_one(self):
        server = self.start_server(config=model(ttft='"10ms"', itl='"0ms"', tokens=1, concurrency=16))
        large = self.start_batch(server, batch_file(LINES))
        self.await_completed(server, large, 500)
        done = self.completed(server, large)
        began = time.monotonic()
        small = self.start_batch(server, batch_file(20))
        self.assertEqual(server.await_batch(small)["request_counts"]["completed"], 20)
        took = time.monotonic() - began
        ahead = self.completed(server, large)
        print(f"20 lines behind {LINES} of the same tenant: done after {took:.3f} s, "
              f"{ahead - done} lines of the large batch meanwhile")
        self.assertEqual(server.batch(large)["status"], "in_progress")
        self.assertLess(ahead, LINES // 2 + done)


class Aging(OrderCase):
    """The flood is kept at a depth: each task that ends is replaced at once, so it never ends and never grows."""

    DEPTH = 60
    AGING = 1000

    def post(self, server, name, count, **more):
        return server.request("POST", "/v1/tasks", {"tasks": [
            {"kind": "work", "payload": name, **more} for _ in range(count)]})

    def submit(self, server, name, count, **more):
        answer = self.post(server, name, count, **more)
        self.assertEqual(answer.status, 200, answer.body)
        return [task["id"] for task in answer.json()["data"]]

    def submit_due(self, server, count):
        """Due as soon as the server takes it: a deadline must lie in the future when it comes there."""
        lead = 0.05
        while self.post(server, "due", count, priority=1000, deadline=time.time() + lead).status != 200:
            lead *= 2

    def flood(self, server, high, due):
        """Of the highest priority all: some due as good as now, so they would always go first if they might."""
        if high:
            self.submit(server, "high", high, priority=1000)
        if due:
            self.submit_due(server, due)

    def work(self, server, end):
        """Claims two at a time and replaces each by its like. @return what it did, in order."""
        did, claim = [], {"kinds": ["work"], "max_tasks": 2, "wait_seconds": 5}
        tasks = server.request("POST", "/v1/workers/claim", {"worker": "w", **claim}).json()["tasks"]
        while tasks:
            did += [(task["payload"], time.monotonic()) for task in tasks]
            if end.is_set():
                break
            names = Counter(task["payload"] for task in tasks)
            self.flood(server, names["high"], names["due"])
            time.sleep(0.005)
            tasks = server.request("POST", "/v1/workers/complete", {"worker": "w", "claim": claim, "tasks": [
                {"id": task["id"], "fence": task["fence"], "result": 1} for task in tasks]}).json()["claimed"]
        return did

    def test_a_low_task_starts_within_its_bound_under_a_flood(self):
        server = self.start_server(config="[order]\n"
                                   f"aging_per_second = {self.AGING}\nprefix_window = \"0s\"\n" + model())
        self.flood(server, self.DEPTH // 2, self.DEPTH // 2)
        end, did = threading.Event(), []
        worker = threading.Thread(target=lambda: did.extend(self.work(server, end)))
        worker.start()
        self.addCleanup(worker.join)
        self.addCleanup(end.set)
        time.sleep(1)  # the flood is under way
        (low,) = self.submit(server, "low", 1, priority=-1000)
        began = time.monotonic()
        bound = server.request("GET", f"/v1/tasks/{low}/explain").json()["bound_seconds"]
        self.assertTrue(wait_for(lambda: server.request(
            "GET", f"/v1/tasks/{low}").json()["status"] in ("running", "succeeded")), "it starves")
        waiting = len(server.request("GET", "/v1/tasks?kind=work&status=queued&limit=1000").json()["data"])
        end.set()
        worker.join()
        (started,) = [at for name, at in did if name == "low"]
        before = [name for name, at in did if began <= at < started]
        # When the bound is over, what was before it may still be done: the depth of the flood, however slow we are.
        service = sum(began + bound <= at < started for _, at in did)
        print(f"low priority under {len(before)} of a flood ({dict(Counter(before))}): started after "
              f"{started - began:.3f} s; bound {bound:.3f} s and {service} tasks that lay before it")
        self.assertGreaterEqual(waiting, self.DEPTH - 4, "it was no flood")
        self.assertGreater(min(Counter(before)["high"], Counter(before)["due"]), 50)
        self.assertGreater(len(before), self.DEPTH, "it did not wait: the flood has no priority")
        self.assertLessEqual(service, self.DEPTH + 2)


class SharedPrompts(OrderCase):
    GROUPS = 64
    EACH = 64
    FIRST = 32  # lines read ahead until a rate is known

    def shuffled(self):
        rng = random.Random(7)
        names = [f"{group}-{i}" for group in range(self.GROUPS) for i in range(self.EACH)]
        rng.shuffle(names)
        return "".join(batch_line(name, self.prompt(*name.split("-"))) + "\n" for name in names)

    def prompt(self, group, i):
        return f"Group {group}. " + f"These are the words of group {group}. " * 60 + f"Question {i}."

    def reuse(self, groups):
        """How often a line began like the one before it, and how often it does at best."""
        taken = sum(one == next for one, next in zip(groups, groups[1:]))
        return taken, len(groups) - len(set(groups))

    def test_lines_that_begin_alike_run_one_after_the_other(self):
        config = '[order]\nprefix_window = "24h"\n' + model(ttft='"1ms"', itl='"0ms"', tokens=1, concurrency=1)
        server = self.start_server(config=config)
        done = server.await_batch(self.start_batch(server, self.shuffled()))
        # One at a time: the order of endings is that of starts.
        groups = [line["custom_id"].split("-")[0] for line in server.results(done)]
        self.assertEqual(len(groups), self.GROUPS * self.EACH)
        taken, best = self.reuse(groups)
        later, best_later = self.reuse(groups[self.FIRST:])
        print(f"prefix reuse {taken} of {best} ({taken / best:.4f}); "
              f"after the first {self.FIRST} lines {later} of {best_later} ({later / best_later:.4f})")
        self.assertGreaterEqual(later, 0.95 * best_later)


if __name__ == "__main__":
    unittest.main()
