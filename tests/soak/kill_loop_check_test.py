"""The checker of the kill loop accepts a history in which all is well, and refuses each way in which it may not be."""

import copy
import unittest

from kill_loop_check import Check


def task(id, status="succeeded", result=None, error=None, attempts=1, parents=()):
    return {"id": id, "status": status, "result": result, "error": error, "attempts": attempts,
            "max_attempts": 3, "parents": list(parents)}


def ack(token, id, key=None, parents=()):
    return {"token": token, "id": id, "key": key, "model": False, "max_attempts": 3,
            "parents": list(parents), "policy": "all_succeeded"}


def claim(id, fence, token, at=1):
    return {"event": "claim", "id": id, "fence": fence, "attempt": 1, "token": token, "at": at}


def say(id, fence, word, how="complete", at=2):
    return {"event": "say", "how": how, "id": id, "fence": fence, "word": word, "at": at}


def hear(id, word, ok=True, how="complete", at=3):
    return {"event": "hear", "how": how, "id": id, "word": word, "ok": ok,
            "code": None if ok else "aborted", "at": at}


class Checker(unittest.TestCase):
    """A: done, after an attempt whose lease ran out. B: failed for good. C: child of A. D: failed at last."""

    def setUp(self):
        self.history = {
            "acks": [ack("a", "A", "key-a"), ack("a", "A", "key-a"), ack("b", "B"),
                     ack("c", "C", parents=["A"]), ack("d", "D")],
            "events": [claim("A", "1", "a"), claim("A", "2", "a"), say("A", "2", "a2"), hear("A", "a2"),
                       say("A", "1", "a1", at=4), hear("A", "a1", ok=False, at=5),
                       claim("B", "3", "b"), say("B", "3", "b3", "refuse"), hear("B", "b3", how="refuse"),
                       claim("C", "4", "c", at=6), say("C", "4", "c4", at=7)],
            "tasks": {"A": task("A", result="a2", attempts=2),
                      "B": task("B", "failed", error={"code": "soak", "message": "b3"}),
                      "C": task("C", result="c4", parents=["A"]),
                      "D": task("D", "failed", error={"code": "x", "message": "lease"}, attempts=3)},
            "listed": ["A", "B", "C", "D"], "live": 0,
            "batches": [{"id": "batch", "status": "completed", "lines": ["x", "y"], "found": ["y", "x"]}]}

    def violations(self, history=None):
        return Check(history or self.history).run()

    def assert_bad(self, sort, pattern):
        self.assertRegex("\n".join(self.violations()[sort]), pattern)

    def test_a_good_history(self):
        self.assertEqual(self.violations(), {"lost": [], "double": [], "other": []})
        counts = (check := Check(self.history)).run() and check.counts()
        self.assertEqual((counts["tasks acknowledged"], counts["re-executions"], counts["batch lines"],
                          counts["late completes refused"], counts["endings without an answer"]),
                         (4, 3, 2, 1, 1))

    def test_a_task_that_is_gone(self):
        self.history["tasks"]["A"] = None
        self.assert_bad("lost", "A was acknowledged and is not there")

    def test_a_task_that_does_not_end(self):
        self.history["tasks"]["C"]["status"] = "queued"
        self.assert_bad("lost", "C has not ended: queued")

    def test_a_task_that_is_not_listed_or_twice(self):
        self.history["listed"] = ["A", "B", "B", "D"]
        self.assert_bad("lost", "C is not listed")
        self.assert_bad("double", "B is listed 2 times")

    def test_live_tasks_that_nobody_knows(self):
        self.history["live"] = 1
        self.assert_bad("lost", "1 tasks do not end")

    def test_a_key_with_two_tasks(self):
        self.history["acks"][1]["id"] = "D"
        self.assert_bad("double", "a was acknowledged as")
        self.assert_bad("lost", "D was acknowledged for")

    def test_a_fence_given_twice(self):
        self.history["events"].append(claim("A", "2", "a"))
        self.assert_bad("double", "A was claimed 2 times with the fence 2")

    def test_a_submission_that_runs_under_another_id(self):
        self.history["events"].append(claim("E", "9", "b"))
        self.assert_bad("double", "b runs as")

    def test_two_endings_were_taken(self):
        self.history["events"][5]["ok"] = True
        self.assert_bad("double", "A: two endings were taken")

    def test_an_old_fence_was_taken(self):
        for how in ("complete", "fail"):
            history = copy.deepcopy(self.history)
            history["events"][2:6] = [say("A", "1", "a1", how, at=4), hear("A", "a1", how=how, at=5)]
            history["tasks"]["A"]["result"] = "a1"
            self.assertRegex("\n".join(self.violations(history)["other"]), "A: a1 was taken although")

    def test_an_old_fence_that_spoke_before_the_new_one_was_given(self):
        self.history["events"][1]["at"] = 2
        self.history["events"][2:6] = [say("A", "1", "a1", at=1.5), hear("A", "a1")]
        self.history["tasks"]["A"]["result"] = "a1"
        self.assertNotIn("although", str(self.violations()))

    def test_an_acknowledged_result_that_is_not_seen(self):
        self.history["tasks"]["A"]["result"] = "a1"
        self.assert_bad("lost", r"A: \['a2'\] was acknowledged, 'a1' is seen")
        self.assert_bad("other", "A shows 'a1', which was refused")

    def test_an_acknowledged_refusal_that_is_not_seen(self):
        self.history["tasks"]["B"] = task("B", result="b3")
        self.assert_bad("other", "B shows 'b3', which nobody said of it")

    def test_a_result_that_nobody_said(self):
        self.history["tasks"]["C"]["result"] = "c5"
        self.assert_bad("other", "C shows 'c5', which nobody said of it")

    def test_a_result_of_another_task(self):
        self.history["tasks"]["C"]["result"] = "a2"
        self.assert_bad("other", "C shows 'a2', which nobody said of it")

    def test_a_result_of_a_fence_that_was_never_given(self):
        self.history["events"][-1]["fence"] = "5"
        self.assert_bad("other", "C shows 'c4' of a fence that was never given")

    def test_a_failure_with_attempts_left(self):
        self.history["tasks"]["D"]["attempts"] = 2
        self.assert_bad("lost", "D failed with attempts left")

    def test_a_passing_failure_that_ended_a_task(self):
        self.history["events"][7]["how"] = "fail"
        self.assert_bad("lost", "B ended by a failure that is to be tried again")

    def test_too_many_attempts(self):
        self.history["tasks"]["A"]["attempts"] = 4
        self.assert_bad("other", "A took 4 of 3 attempts")

    def test_another_task_than_submitted(self):
        self.history["tasks"]["C"]["parents"] = []
        self.assert_bad("other", "C is not what was submitted")

    def test_a_child_before_its_parent(self):
        self.history["events"][9]["at"] = 1
        self.assert_bad("other", "C started before its parent A had ended")

    def test_a_child_of_a_failed_parent(self):
        self.history["tasks"]["A"] = task("A", "failed", error={"message": "lease"}, attempts=3)
        self.assert_bad("other", "C started although its parent A failed")

    def test_a_batch_that_lacks_doubles_or_invents_lines(self):
        for found, sort, pattern in ((["x"], "lost", "line y stands 0 times"),
                                     (["x", "y", "y"], "double", "line y stands 2 times"),
                                     (["x", "y", "z"], "other", "line z was never sent")):
            history = copy.deepcopy(self.history)
            history["batches"][0]["found"] = found
            self.assertRegex("\n".join(self.violations(history)[sort]), pattern)

    def test_a_batch_that_does_not_complete(self):
        self.history["batches"][0]["status"] = "failed"
        self.assert_bad("lost", "batch ended as failed")

    def test_a_completion_of_a_parent_is_no_word(self):
        self.history["acks"].append({**ack("e", "E"), "model": True})
        self.history["acks"].append(ack("f", "F", parents=["E"]))
        self.history["events"] += [claim("F", "7", "f"), say("F", "7", "f7")]
        self.history["tasks"]["E"] = task("E", result={"object": "chat.completion"})
        self.history["tasks"]["F"] = task("F", result="f7", parents=["E"])
        self.history["listed"] += ["E", "F"]
        self.assertEqual(self.violations(), {"lost": [], "double": [], "other": []})

    def test_a_model_task_without_a_completion(self):
        self.history["acks"][3]["model"] = True
        self.history["tasks"]["C"]["result"] = {"object": "error"}
        self.assert_bad("lost", "C has no completion")


if __name__ == "__main__":
    unittest.main()
