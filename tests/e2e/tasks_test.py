"""Single tasks and external workers over HTTP, on the real binary."""

import os
import signal
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from harness import kill, wait_for
from serve_harness import FAKE, ServeCase

EXAMPLES = os.path.join(os.path.dirname(__file__), "../../examples/clients")


class Worker:
    """What a worker says, over one server."""

    def __init__(self, server, name, prefix=""):
        self.server, self.name, self.prefix = server, name, prefix

    def call(self, what, **body):
        return self.server.request("POST", f"{self.prefix}/v1/workers/{what}",
                                   {"worker": self.name, **body})

    def claim(self, kinds=("ocr",), **more):
        return self.call("claim", kinds=list(kinds), **more).json()["tasks"]

    def one(self, **more):
        (task,) = self.claim(**more)
        return task

    def complete(self, tasks, results, **more):
        return self.call("complete", tasks=[
            {"id": task["id"], "fence": task["fence"], "result": result}
            for task, result in zip(tasks, results)], **more).json()


def held(task, **more):
    return {"id": task["id"], "fence": task["fence"], **more}


class TasksCase(ServeCase):
    def submit(self, server, prefix="", headers=None, **task):
        answer = server.request("POST", f"{prefix}/v1/tasks", {"kind": "ocr", "payload": 1, **task},
                                headers)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def get(self, server, task, prefix=""):
        return server.request("GET", f"{prefix}/v1/tasks/{task['id']}").json()


class ExternalWork(TasksCase):
    def setUp(self):
        super().setUp()
        self.server = self.start_server(config=FAKE)
        self.worker = Worker(self.server, "w1")

    def test_submit_claim_complete(self):
        task = self.submit(self.server, payload={"page": "é", "n": [1, 2.50]})
        self.assertEqual((task["status"], task["kind"], task["attempts"]), ("queued", "ocr", 0))
        (claimed,) = self.worker.claim()
        self.assertEqual(claimed["id"], task["id"])
        self.assertEqual(claimed["payload"], {"page": "é", "n": [1, 2.5]})
        self.assertEqual((claimed["attempt"], claimed["alone"], claimed["checkpoint"]),
                         (1, False, None))
        self.assertIsInstance(claimed["fence"], str)
        running = self.get(self.server, task)
        self.assertEqual((running["status"], running["lease"]), ("running", {"worker": "w1"}))
        done = self.worker.complete([claimed], [{"text": "page"}])
        self.assertEqual(done["tasks"], [{"id": task["id"], "ok": True}])
        ended = self.get(self.server, task)
        self.assertEqual((ended["status"], ended["result"]), ("succeeded", {"text": "page"}))
        self.assertEqual(self.worker.claim(), [])

    def test_many_at_once_in_order_and_complete_claims_next(self):
        answer = self.server.request("POST", "/v1/tasks", {"tasks": [
            {"kind": "ocr", "payload": i} for i in range(250)]})
        ids = [each["id"] for each in answer.json()["data"]]
        self.assertEqual(ids, sorted(ids))
        tasks, seen = self.worker.claim(max_tasks=100), []
        while tasks:
            seen += [(task["id"], task["payload"]) for task in tasks]
            tasks = self.worker.complete(tasks, [task["payload"] * 2 for task in tasks], claim={
                "kinds": ["ocr"], "max_tasks": 100})["claimed"]
        self.assertEqual(seen, [(id, i) for i, id in enumerate(ids)])
        self.assertEqual(self.get(self.server, {"id": ids[249]})["result"], 498)

    def test_fail_is_tried_again_and_then_shown(self):
        task = self.submit(self.server, max_attempts=2)
        for attempt in (1, 2):
            (claimed,) = self.worker.claim(wait_seconds=30)
            self.assertEqual(claimed["attempt"], attempt)
            answer = self.worker.call("fail", tasks=[
                held(claimed, error={"code": "bad_image", "message": "no page"})]).json()
            self.assertEqual(answer["tasks"], [{"id": task["id"], "ok": True}])
        ended = self.get(self.server, task)
        self.assertEqual((ended["status"], ended["attempts"]), ("failed", 2))
        self.assertEqual(ended["error"], {"code": "bad_image", "message": "no page"})
        self.assertIsNone(ended["result"])

    def test_requeue_starts_a_new_generation(self):
        task = self.submit(self.server)
        live = self.server.request("POST", f"/v1/tasks/{task['id']}/requeue")
        self.assertEqual((live.status, live.headers["x-should-retry"]), (409, "false"))
        self.worker.call("fail", tasks=[held(self.worker.one(), retryable=False,
                                             error={"message": "m"})])
        again = self.server.request("POST", f"/v1/tasks/{task['id']}/requeue").json()
        self.assertEqual((again["status"], again["generation"], again["attempts"]), ("queued", 1, 0))
        self.worker.complete([self.worker.one()], ["second"])
        self.assertEqual(self.get(self.server, task)["result"], "second")

    def test_release_burns_no_attempt(self):
        task = self.submit(self.server)
        self.worker.call("release", tasks=[held(self.worker.one())])
        self.assertEqual(self.get(self.server, task)["attempts"], 0)
        self.assertEqual(self.worker.one()["attempt"], 1)

    def test_renew_keeps_the_lease_and_a_checkpoint(self):
        self.submit(self.server)
        other = Worker(self.server, "w2")
        claimed = self.worker.one(lease_seconds=1)
        for _ in range(4):
            self.assertEqual(other.claim(wait_seconds=0.5), [])
            answer = self.worker.call("renew", lease_seconds=1, tasks=[
                held(claimed, checkpoint="half")]).json()
            self.assertEqual(answer["tasks"], [{"id": claimed["id"], "state": "held"}])
        taken = other.one(wait_seconds=30)  # the lease runs out
        self.assertEqual((taken["attempt"], taken["checkpoint"]), (2, "half"))
        late = self.worker.complete([claimed], ["late"])["tasks"][0]
        self.assertEqual((late["ok"], late["error"]["code"]), (False, "aborted"))
        state = self.worker.call("renew", tasks=[held(claimed)]).json()["tasks"][0]["state"]
        self.assertEqual(state, "lost")
        other.complete([taken], ["in time"])
        self.assertEqual(self.get(self.server, claimed)["result"], "in time")

    def test_a_cancel_is_told_at_the_next_heartbeat(self):
        task = self.submit(self.server)
        claimed = self.worker.one()
        cancelled = self.server.request("POST", f"/v1/tasks/{task['id']}/cancel").json()
        self.assertEqual(cancelled["status"], "cancelled")
        answer = self.worker.call("heartbeat", version="1", capacity=2, tasks=[held(claimed)]).json()
        self.assertEqual(answer["tasks"], [{"id": task["id"], "state": "cancelled"}])
        self.assertFalse(self.worker.complete([claimed], [1])["tasks"][0]["ok"])
        (worker,) = self.server.request("GET", "/v1/workers").json()["data"]
        self.assertEqual((worker["worker"], worker["version"], worker["capacity"], worker["leases"]),
                         ("w1", "1", 2, 0))

    def test_cancel_many_and_list(self):
        for kind in ("ocr", "asr", "ocr"):
            self.submit(self.server, kind=kind)
        listed = self.server.request("GET", "/v1/tasks?kind=ocr&status=queued").json()
        self.assertEqual([task["kind"] for task in listed["data"]], ["ocr", "ocr"])
        answer = self.server.request("POST", "/v1/tasks/cancel", {"kind": "ocr"}).json()
        self.assertEqual(answer, {"cancelled": 2})
        page = self.server.request("GET", "/v1/tasks?limit=2").json()
        self.assertEqual((len(page["data"]), page["has_more"]), (2, True))
        page = self.server.request("GET", f"/v1/tasks?limit=2&after={page['last_id']}").json()
        self.assertEqual((len(page["data"]), page["has_more"]), (1, False))

    def test_a_long_poll_ends_when_work_comes(self):
        with ThreadPoolExecutor() as pool:
            claims = [pool.submit(self.worker.claim, wait_seconds=30) for _ in range(2)]
            time.sleep(0.2)  # so that they wait; the outcome is the same if they do not
            ids = {self.submit(self.server)["id"] for _ in range(2)}
            self.assertEqual({claim.result()[0]["id"] for claim in claims}, ids)
        self.assertEqual(self.worker.claim(wait_seconds=0.1), [])

    def test_a_client_that_hangs_up_leaves_the_work_to_others(self):
        with self.assertRaises(TimeoutError):
            self.server.request("POST", "/v1/workers/claim", {
                "worker": "gone", "kinds": ["ocr"], "wait_seconds": 60}, timeout=0.3)
        task = self.submit(self.server)
        claimed = self.worker.one(wait_seconds=20)  # below the lease that the first would have got
        self.assertEqual((claimed["id"], claimed["attempt"]), (task["id"], 1))

    def test_a_stop_does_not_wait_for_long_polls(self):
        with ThreadPoolExecutor() as pool:
            claim = pool.submit(self.worker.call, "claim", kinds=["ocr"], wait_seconds=60)
            time.sleep(0.2)  # so that it waits; the outcome is the same if it does not
            self.assertEqual(self.stop_server(self.server, timeout=30), 0)
            answer = claim.result()
        self.assertEqual(answer.json().get("tasks", []), [])
        self.assertIn(answer.status, (200, 503))

    def test_one_key_is_one_task_whoever_repeats_it(self):
        def submit(_):
            return self.submit(self.server, payload={"a": 1, "b": [2]}, idempotency_key="k")["id"]
        with ThreadPoolExecutor(16) as pool:
            self.assertEqual(len(set(pool.map(submit, range(64)))), 1)
        same = self.submit(self.server, payload={"b": [2.0], "a": 1}, headers={"Idempotency-Key": "k"})
        self.assertEqual(len(self.worker.claim(max_tasks=10)), 1)
        other = self.server.request("POST", "/v1/tasks", {"kind": "ocr", "payload": {"a": 2}},
                                    {"Idempotency-Key": "k"})
        self.assertEqual((other.status, other.headers["x-should-retry"]), (409, "false"))
        self.assertEqual(self.stop_server(self.server), 0)
        server = self.start_server(config=FAKE)
        again = self.submit(server, payload={"a": 1, "b": [2]}, idempotency_key="k")
        self.assertEqual(again["id"], same["id"])

    def test_children_wait_for_their_parents(self):
        answer = self.server.request("POST", "/v1/tasks", {"tasks": [
            {"kind": "ocr", "payload": "join", "parents": ["#1", "#2"]},
            {"kind": "ocr", "payload": "a"}, {"kind": "ocr", "payload": "b"}]})
        join, a, b = (each["id"] for each in answer.json()["data"])
        self.assertEqual(self.get(self.server, {"id": join})["status"], "blocked")
        parents = self.worker.claim(max_tasks=10)
        self.assertEqual({task["id"] for task in parents}, {a, b})
        self.worker.complete(parents[:1], [1])
        self.assertEqual(self.worker.claim(), [])
        self.worker.complete(parents[1:], [2])
        self.assertEqual(self.worker.one()["payload"], "join")
        cycle = self.server.request("POST", "/v1/tasks", {"tasks": [
            {"kind": "ocr", "payload": 1, "parents": ["#1"]},
            {"kind": "ocr", "payload": 2, "parents": ["#0"]}]})
        self.assertEqual(cycle.status, 400)
        self.assertRegex(cycle.json()["error"]["param"], r"tasks\[\d\].parents")

    def test_an_edit_with_an_old_version_is_412(self):
        task = self.submit(self.server)
        path = f"/v1/tasks/{task['id']}"
        etag = self.server.request("GET", path).headers["etag"]
        edited = self.server.request("PATCH", path, {"priority": 9}, {"If-Match": etag})
        self.assertEqual((edited.status, edited.json()["priority"]), (200, 9))
        self.assertNotEqual(edited.headers["etag"], etag)
        stale = self.server.request("PATCH", path, {"priority": 1}, {"If-Match": etag})
        self.assertEqual((stale.status, self.get(self.server, task)["priority"]), (412, 9))
        deadline = self.server.request("PATCH", path, {"deadline": 4000000000.5}).json()["deadline"]
        self.assertEqual(deadline, 4000000000.5)

    def test_bad_requests_name_the_field(self):
        for path, body, param in (
                ("/tasks", {"kind": "ocr", "payload": 1, "prio": 2}, "prio"),
                ("/tasks", {"tasks": [{"kind": "ocr", "payload": 1, "deadline": 1}]}, "tasks[0].deadline"),
                ("/tasks", {"endpoint": "/v1/completions", "body": {"model": "x", "prompt": "p"}},
                 "body.model"),
                ("/workers/claim", {"worker": "w", "kinds": ["@other/ocr"]}, "kinds"),
                ("/workers/complete", {"worker": "w", "tasks": []}, "tasks")):
            answer = self.server.request("POST", f"/v1{path}", body)
            self.assertIn(answer.status, (400, 404), body)
            self.assertEqual(answer.json()["error"]["param"], param)


class Tenants(TasksCase):
    def test_a_tenant_sees_and_touches_its_own_only(self):
        server = self.start_server(config=FAKE)
        ann, bob = "/t/ann", "/t/bob"
        task = self.submit(server, prefix=ann)
        path = f"{bob}/v1/tasks/{task['id']}"
        self.assertEqual(server.request("GET", path).status, 404)
        self.assertEqual(server.request("GET", f"{path}/explain").status, 404)
        self.assertEqual(server.request("PATCH", path, {"priority": 1}).status, 404)
        self.assertEqual(server.request("POST", f"{path}/cancel").status, 404)
        self.assertEqual(server.request("POST", f"{path}/requeue").status, 404)
        self.assertEqual(server.request("GET", f"{bob}/v1/tasks").json()["data"], [])
        cancelled = server.request("POST", f"{bob}/v1/tasks/cancel", {"status": "queued"})
        self.assertEqual(cancelled.json(), {"cancelled": 0})
        child = server.request("POST", f"{bob}/v1/tasks", {"kind": "ocr", "payload": 1,
                                                           "parents": [task["id"]]})
        self.assertEqual(child.status, 400)
        worker, thief = Worker(server, "w", ann), Worker(server, "w", bob)
        self.assertEqual(thief.claim(), [])
        claimed = worker.one()
        self.assertEqual(thief.complete([claimed], [0])["tasks"][0]["error"]["code"], "not_found")
        for call in ("fail", "release"):
            more = {"error": {"message": "m"}} if call == "fail" else {}
            answer = thief.call(call, tasks=[held(claimed, **more)]).json()["tasks"][0]
            self.assertEqual(answer["error"]["code"], "not_found")
        for call in ("renew", "heartbeat"):
            answer = thief.call(call, tasks=[held(claimed)]).json()["tasks"][0]
            self.assertEqual(answer["state"], "lost")
        self.assertTrue(worker.complete([claimed], [1])["tasks"][0]["ok"])


class ModelTasks(TasksCase):
    def test_a_model_answers(self):
        server = self.start_server(config=FAKE)
        answer = server.request("POST", "/v1/tasks", {
            "endpoint": "/v1/chat/completions",
            "body": {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}})
        task = answer.json()
        self.assertEqual((task["endpoint"], task["model"]), ("/v1/chat/completions", "m"))
        self.assertTrue(wait_for(lambda: self.get(server, task)["status"] == "succeeded"))
        result = self.get(server, task)["result"]
        self.assertEqual((result["object"], result["choices"][0]["message"]["role"]),
                         ("chat.completion", "assistant"))
        self.assertEqual(Worker(server, "w").claim(kinds=["m"]), [])


class ExampleWorker(TasksCase):
    def start_worker(self, server, *arguments):
        process = subprocess.Popen(
            [sys.executable, f"{EXAMPLES}/worker.py", "--url", server.url, *arguments],
            stdout=subprocess.PIPE, start_new_session=True)
        self.addCleanup(kill, process)
        process.stdout.readline()  # "… works on …"
        return process

    def test_it_works_and_hands_back_at_sigterm(self):
        server = self.start_server(config=FAKE)
        worker = self.start_worker(server, "--tasks", "3")
        tasks = [self.submit(server, kind="reverse", payload=text) for text in ("abc", "é", "", "x")]
        bad = self.submit(server, kind="reverse", payload=7)
        self.assertTrue(wait_for(lambda: self.get(server, bad)["status"] == "failed"))
        self.assertEqual(self.get(server, bad)["error"]["code"], "refused")
        self.assertTrue(wait_for(lambda: all(
            self.get(server, task)["status"] == "succeeded" for task in tasks)))
        self.assertEqual([self.get(server, task)["result"] for task in tasks], ["cba", "é", "", "x"])

        long = [self.submit(server, kind="sleep", payload=600) for _ in range(2)]
        self.assertTrue(wait_for(lambda: self.get(server, long[0])["status"] == "running"))
        worker.send_signal(signal.SIGTERM)
        self.assertEqual(worker.wait(timeout=30), 0)
        for task in long:
            task = self.get(server, task)
            self.assertEqual((task["status"], task["attempts"]), ("queued", 0))

    def test_it_drops_what_was_cancelled(self):
        server = self.start_server(config=FAKE)
        self.start_worker(server, "--tasks", "1")
        long = self.submit(server, kind="sleep", payload=600)
        self.assertTrue(wait_for(lambda: self.get(server, long)["status"] == "running"))
        server.request("POST", f"/v1/tasks/{long['id']}/cancel")
        after = self.submit(server, kind="reverse", payload="ab")
        self.assertTrue(wait_for(lambda: self.get(server, after)["status"] == "succeeded"))


if __name__ == "__main__":
    unittest.main()
