"""What the kill loop expects of the server, as pure code: histories come in, violations go out.

A history has
  acks     what the server acknowledged: {"token", "id", "key", "model", "parents", "policy", "max_attempts"}; a token is
           the client's own name of a task, so that it knows it again
  events   what the workers said and heard, in order for each worker (kill_loop_worker.py)
  tasks    id -> the task as the server shows it at the end; None for a 404
  listed   all ids that the server lists at the end
  live     how many tasks the server still calls live
  batches  {"id", "status", "lines": [custom ids sent], "found": [custom ids in both files]}
"""

from collections import Counter, defaultdict

ENDED = ("succeeded", "failed")


class Check:
    def __init__(self, history):
        self.acks, self.tasks, self.batches = history["acks"], history["tasks"], history["batches"]
        self.listed, self.live = history["listed"], history["live"]
        self.violations = {"lost": [], "double": [], "other": []}
        self.claims, self.said, self.heard = defaultdict(list), {}, {}
        for event in history["events"]:
            self.note(event)

    def note(self, event):
        if event["event"] == "claim":
            self.claims[event["id"]].append(event)
        elif event["event"] == "say":
            self.said[event["word"]] = event
        else:
            self.heard[event["word"]] = event

    def run(self):
        """@return the violations by sort: none when all promises were kept."""
        self.check_keys()
        self.check_claims()
        self.check_words()
        self.check_fences()
        for ack in self.acks:
            self.check_task(ack)
        self.check_list()
        for batch in self.batches:
            self.check_batch(batch)
        return self.violations

    def bad(self, sort, text):
        self.violations[sort].append(text)

    def check_keys(self):
        """The same key is the same task, and so is the same token; nothing else is."""
        ids, tokens = defaultdict(set), defaultdict(set)
        for ack in self.acks:
            ids[ack["token"]].add(ack["id"])
            tokens[ack["id"]].add(ack["token"])
        for token, found in ids.items():
            if len(found) > 1:
                self.bad("double", f"{token} was acknowledged as {sorted(found)}")
        for id, found in tokens.items():
            if len(found) > 1:
                self.bad("lost", f"{id} was acknowledged for {sorted(found)}")

    def check_claims(self):
        """A fence is given once; a token runs under one id, the one that was acknowledged."""
        acked = {ack["token"]: ack["id"] for ack in self.acks}
        ids = defaultdict(set)
        for id, claims in self.claims.items():
            fences = Counter(claim["fence"] for claim in claims)
            for fence, times in fences.items():
                if times > 1:
                    self.bad("double", f"{id} was claimed {times} times with the fence {fence}")
            for claim in claims:
                ids[claim["token"]].add(id)
        for token, found in ids.items():
            if len(found | {acked.get(token, next(iter(found)))}) > 1:
                self.bad("double", f"{token} runs as {sorted(found)}, acknowledged as {acked.get(token)}")

    def check_words(self):
        """At most one ending of a task was taken; what was taken is what is seen, what was refused is not."""
        taken = defaultdict(list)
        for word, heard in self.heard.items():
            if heard["ok"] and heard["how"] != "fail":  # a failure that is tried again ends nothing
                taken[heard["id"]].append(word)
        for id, words in taken.items():
            if len(words) > 1:
                self.bad("double", f"{id}: two endings were taken: {words}")
            if (task := self.tasks.get(id)) and self.word_of(task) not in words:
                self.bad("lost", f"{id}: {words} was acknowledged, {self.word_of(task)!r} is seen")

    def check_fences(self):
        """Nothing was taken from a worker that spoke after another had got the task."""
        for word, heard in self.heard.items():
            said = self.said[word]
            newer = [claim for claim in self.claims[said["id"]]
                     if int(claim["fence"]) > int(said["fence"]) and claim["at"] < said["at"]]
            if heard["ok"] and newer:
                self.bad("other", f"{said['id']}: {word} was taken although {newer[0]} was before it")

    def word_of(self, task):
        """What its last worker said, as the server shows it; None for a model's completion."""
        if task["status"] != "succeeded":
            return (task["error"] or {}).get("message")
        return task["result"] if isinstance(task["result"], str) else None

    def check_task(self, ack):
        id, task = ack["id"], self.tasks.get(ack["id"])
        if task is None:
            return self.bad("lost", f"{id} was acknowledged and is not there")
        if task["status"] not in ENDED:
            return self.bad("lost", f"{id} has not ended: {task['status']}")
        if task["attempts"] > task["max_attempts"]:
            self.bad("other", f"{id} took {task['attempts']} of {task['max_attempts']} attempts")
        if task["max_attempts"] != ack["max_attempts"] or task["parents"] != ack["parents"]:
            self.bad("other", f"{id} is not what was submitted: {task}")
        self.check_parents(ack)
        if ack["model"]:
            self.check_completion(task)
        elif task["status"] == "succeeded":
            self.check_ending(task, ("complete",))
        else:
            self.check_failure(ack, task)

    def check_completion(self, task):
        answered = task["status"] == "succeeded" and task["result"]["object"] == "chat.completion"
        if not answered and task["attempts"] < task["max_attempts"]:
            self.bad("lost", f"{task['id']} has no completion: {task}")

    def check_ending(self, task, ways):
        """What is seen was said for this task, with a fence that a worker got, and was not refused."""
        word = self.word_of(task)
        said, heard = self.said.get(word), self.heard.get(word)
        if said is None or said["id"] != task["id"] or said["how"] not in ways:
            return self.bad("other", f"{task['id']} shows {word!r}, which nobody said of it")
        if said["fence"] not in {claim["fence"] for claim in self.claims[task["id"]]}:
            self.bad("other", f"{task['id']} shows {word!r} of a fence that was never given")
        if heard is not None and not heard["ok"]:
            self.bad("other", f"{task['id']} shows {word!r}, which was refused")

    def check_failure(self, ack, task):
        said = self.said.get(self.word_of(task))
        if said is None:  # its parents', or the last lease ran out
            of_parents = ack["policy"] == "all_succeeded" and any(
                (self.tasks.get(parent) or {}).get("status") == "failed" for parent in ack["parents"])
            if not of_parents and task["attempts"] < task["max_attempts"]:
                self.bad("lost", f"{task['id']} failed with attempts left: {task}")
            return
        self.check_ending(task, ("fail", "refuse"))
        if said["how"] == "fail" and task["attempts"] < task["max_attempts"]:
            self.bad("lost", f"{task['id']} ended by a failure that is to be tried again")

    def check_parents(self, ack):
        """A claim came after the endings of all parents, and only if their policy was met."""
        first = min((claim["at"] for claim in self.claims[ack["id"]]), default=None)
        if first is None:
            return
        for id in ack["parents"]:
            parent = self.tasks.get(id)
            if parent is None:
                continue
            said = self.said.get(self.word_of(parent))
            if said is not None and said["at"] > first:
                self.bad("other", f"{ack['id']} started before its parent {id} had ended")
            if ack["policy"] == "all_succeeded" and parent["status"] != "succeeded":
                self.bad("other", f"{ack['id']} started although its parent {id} failed")

    def check_list(self):
        if self.live:
            self.bad("lost", f"{self.live} tasks do not end")
        for id, times in Counter(self.listed).items():
            if times > 1:
                self.bad("double", f"{id} is listed {times} times")
        for id in {ack["id"] for ack in self.acks} - set(self.listed):
            self.bad("lost", f"{id} is not listed")

    def check_batch(self, batch):
        if batch["status"] != "completed":
            self.bad("lost", f"{batch['id']} ended as {batch['status']}")
        found = Counter(batch["found"])
        for line in batch["lines"]:
            if found[line] != 1:
                self.bad("double" if found[line] else "lost",
                         f"{batch['id']}: line {line} stands {found[line]} times in the files")
        for line in found.keys() - set(batch["lines"]):
            self.bad("other", f"{batch['id']}: line {line} was never sent")

    def counts(self):
        """What happened, in figures."""
        shown = [task for task in self.tasks.values() if task]
        refused = [word for word, heard in self.heard.items() if not heard["ok"]]
        return {
            "tasks acknowledged": len({ack["id"] for ack in self.acks}),
            "with keys": len({ack["id"] for ack in self.acks if ack["key"]}),
            "with parents": len({ack["id"] for ack in self.acks if ack["parents"]}),
            "on the model": len({ack["id"] for ack in self.acks if ack["model"]}),
            "succeeded": sum(task["status"] == "succeeded" for task in shown),
            "failed": sum(task["status"] == "failed" for task in shown),
            "not acknowledged but taken": len(set(self.listed) - {ack["id"] for ack in self.acks}),
            "claims": sum(map(len, self.claims.values())),
            "re-executions": sum(max(0, task["attempts"] - 1) for task in shown),
            "endings refused": len(refused),
            "late completes refused": sum(self.heard[word]["how"] == "complete" for word in refused),
            "endings without an answer": len(self.said.keys() - self.heard.keys()),
            "batches": len(self.batches),
            "batch lines": sum(len(batch["lines"]) for batch in self.batches),
            **{sort: len(found) for sort, found in self.violations.items()},
        }
