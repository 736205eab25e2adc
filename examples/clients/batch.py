#!/usr/bin/env python3
"""One batch from file to results, with Python's standard library only.

    examples/clients/batch.py [INPUT.jsonl [OUTPUT.jsonl]]

INPUT holds OpenAI batch lines. INFERQ_SERVER and INFERQ_API_KEY name the server and the key; without INPUT two
lines are made up for the model of INFERQ_MODEL.
"""

import json
import os
import sys
import time
import urllib.request
import uuid

SERVER = os.environ.get("INFERQ_SERVER", "http://127.0.0.1:8080/v1").rstrip("/")
KEY = os.environ.get("INFERQ_API_KEY", "")
MODEL = os.environ.get("INFERQ_MODEL", "fake")


def call(path, body=None, content_type="application/json"):
    headers = {"Authorization": f"Bearer {KEY}"} if KEY else {}
    if body is not None:
        headers["Content-Type"] = content_type
    request = urllib.request.Request(SERVER + path, data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def upload(data):
    boundary = uuid.uuid4().hex
    form = (f"--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
            f"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"input.jsonl\"\r\n"
            "Content-Type: application/jsonl\r\n\r\n").encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return json.loads(call("/files", form, f"multipart/form-data; boundary={boundary}"))


def create(file_id):
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    return json.loads(call("/batches", json.dumps(body).encode()))


def wait(batch):
    while batch["status"] not in ("completed", "failed", "expired", "cancelled"):
        time.sleep(1)
        batch = json.loads(call(f"/batches/{batch['id']}"))
        print(batch["status"], batch["request_counts"], file=sys.stderr)
    return batch


def made_up_lines():
    for number, question in enumerate(("What is a queue?", "What is a batch?"), 1):
        body = {"model": MODEL, "messages": [{"role": "user", "content": question}], "max_tokens": 16}
        yield json.dumps({"custom_id": f"q{number}", "method": "POST", "url": "/v1/chat/completions", "body": body})


def read_input():
    if len(sys.argv) > 1:
        with open(sys.argv[1], "rb") as file:
            return file.read()
    return "\n".join(made_up_lines()).encode()


def main():
    batch = wait(create(upload(read_input())["id"]))
    if not batch["output_file_id"]:
        print(json.dumps(batch["errors"]), file=sys.stderr)
        return 1
    results = call(f"/files/{batch['output_file_id']}/content")
    if len(sys.argv) > 2:
        with open(sys.argv[2], "wb") as file:
            file.write(results)
    else:
        sys.stdout.write(results.decode())
    return 0 if batch["status"] == "completed" and not batch["error_file_id"] else 1


if __name__ == "__main__":
    sys.exit(main())
