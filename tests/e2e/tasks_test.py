"""Single tasks and external workers over HTTP, on the real binary."""

import threading
import unittest

from serve_harness import FAKE, ServeCase


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


if __name__ == "__main__":
    unittest.main()
