#!/usr/bin/env python3
"""What the server does under load, against the fake engine. Prints Markdown for bench/results/serve.md.

    bench/serve.py [--parts accept,online,slow,small] [--bin build/release/bin]

Each part starts servers of its own in a temporary folder. Compare only figures of one run.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

LINES = 50_000
BOUNDARY = "bench-boundary"


class Server:
    def __init__(self, binary, config, *arguments):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="inferq_bench_"))
        (self.dir / "inferq.toml").write_text(config)
        self.process = subprocess.Popen(
            [binary / "inferq", "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", *arguments],
            cwd=self.dir, stdout=subprocess.PIPE, text=True)
        self.url = next(m.group(1) for m in (re.search(r"serves (http://[^/\s]+)", line)
                                             for line in self.process.stdout) if m)
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        while self.call("GET", "/readyz", check=False) is None:
            time.sleep(0.05)

    def call(self, method, path, body=None, check=True, content_type="application/json"):
        request = urllib.request.Request(self.url + path, data=body, method=method)
        if body is not None:
            request.add_header("Content-Type", content_type)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.loads(answer.read())
        except OSError:
            if check:
                raise
            return None

    def upload(self, path):
        head = (f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--{BOUNDARY}\r\n'
                'Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n').encode()
        body = head + path.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()
        return self.call("POST", "/v1/files", body, content_type=f"multipart/form-data; boundary={BOUNDARY}")["id"]

    def create(self, file_id):
        body = json.dumps({"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"})
        return self.call("POST", "/v1/batches", body.encode())["id"]

    def await_status(self, batch_id, *statuses):
        while True:
            batch = self.call("GET", f"/v1/batches/{batch_id}")
            if batch["status"] in statuses:
                return batch
            if batch["status"] == "failed":
                raise SystemExit(f"the batch failed: {batch['errors']}")
            time.sleep(0.01)

    def memory(self):
        """Resident and peak resident memory in MiB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        kib = {name: int(re.search(rf"{name}:\s+(\d+)", status).group(1)) for name in ("VmRSS", "VmHWM")}
        return kib["VmRSS"] / 1024, kib["VmHWM"] / 1024

    def close(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self.dir)


def config(ttft, itl, concurrency, reserved=-1):
    return (f'[log]\nlevel = "error"\n[[model]]\nname = "m"\nfake = true\nttft = "{ttft}"\nitl = "{itl}"\n'
            f"concurrency = {concurrency}\nreserved = {reserved}\n")


def line(i, padding):
    body = {"model": "m", "messages": [{"role": "user", "content": f"question {i} " + "x" * padding}], "max_tokens": 16}
    return json.dumps({"custom_id": f"id-{i}", "method": "POST", "url": "/v1/chat/completions", "body": body}) + "\n"


def write_input(folder, total_bytes):
    path = pathlib.Path(folder) / "in.jsonl"
    padding = total_bytes // LINES - len(line(LINES, 0))
    with path.open("w", encoding="utf-8") as out:
        for i in range(LINES):
            out.write(line(i, max(padding, 0)))
    return path


def load(binary, url, **options):
    arguments = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    done = subprocess.run([binary / "inferq-bench-http-load", url, *arguments], check=True, capture_output=True)
    return json.loads(done.stdout)


def accept(binary):
    """A large file, from the first byte of the upload to `in_progress`."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_input(folder, 200_000_000)
        server = Server(binary, config("1h", "0ms", 1, 0))
        try:
            before, _ = server.memory()
            start = time.monotonic()
            with subprocess.Popen(["curl", "-sS", "-F", "purpose=batch", "-F", f"file=@{path}", server.url + "/v1/files"],
                                  stdout=subprocess.PIPE) as curl:
                file_id = json.loads(curl.stdout.read())["id"]
            uploaded = time.monotonic()
            batch_id = server.create(file_id)
            server.await_status(batch_id, "in_progress")
            validated = time.monotonic()
            _, peak_validated = server.memory()
            time.sleep(8)
            _, peak = server.memory()
        finally:
            server.close()
    print(f"## A file of {LINES:,} lines and {path.name and 200} MB: upload (curl), create, validate\n")
    print("| upload | create to `in_progress` | both | memory before | peak until `in_progress` | peak with all lines queued |")
    print("| --: | --: | --: | --: | --: | --: |")
    print(f"| {uploaded - start:.2f} s | {validated - uploaded:.2f} s | {validated - start:.2f} s | {before:.0f} MiB "
          f"| {peak_validated:.0f} MiB (+{peak_validated - before:.0f}) | {peak:.0f} MiB (+{peak - before:.0f}) |\n")


def online(binary):
    """Short online requests, idle and while a batch saturates the engine."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_input(folder, LINES * 250)
        body = pathlib.Path(folder) / "body.json"
        body.write_text(json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}))
        server = Server(binary, config("50ms", "5ms", 32))
        try:
            options = {"method": "POST", "body": body, "connections": 4, "pause": 20, "seconds": 15}
            idle = load(binary, server.url + "/v1/chat/completions", **options)
            batch_id = server.create(server.upload(path))
            server.await_status(batch_id, "in_progress")
            time.sleep(3)
            busy = load(binary, server.url + "/v1/chat/completions", **options)
            counts = server.call("GET", f"/v1/batches/{batch_id}")["request_counts"]
        finally:
            server.close()
    print(f"## Online requests beside a batch of {LINES:,} lines\n")
    print("Fake engine: 50 ms to the first token, 5 ms between tokens, 32 slots of which 4 are kept; 4 clients, 1 token each.\n")
    print("| | requests | errors | p50 ms | p99 ms | max ms |\n| --- | --: | --: | --: | --: | --: |")
    for name, one in (("idle", idle), ("beside the batch", busy)):
        print(f"| {name} | {one['requests']} | {one['errors']} | {one['p50_ms']:.1f} | {one['p99_ms']:.1f} | {one['max_ms']:.1f} |")
    print(f"\np99 ratio {busy['p99_ms'] / idle['p99_ms']:.2f}; lines of the batch that ended meanwhile: {counts['completed']:,}.\n")


def slow(binary):
    """64 normal clients, without and with 1,000 that send a byte a second."""
    server = Server(binary, config("1ms", "0ms", 256))
    rows = []
    try:
        target = server.url + "/v1/models"
        held = server.url + "/v1/chat/completions"
        for _ in range(3):
            rows.append(("alone", load(binary, target, connections=64, seconds=8), *server.memory()))
            rows.append(("beside 1,000 slow ones", load(binary, target, connections=64, slow=1000, slow_url=held, seconds=8),
                         *server.memory()))
    finally:
        server.close()
    print("## 64 clients (GET /v1/models), without and with 1,000 connections that send the body of a chat, a byte a second\n")
    print("| | requests/s | errors | p50 ms | p99 ms | slow ones open | peak memory |\n| --- | --: | --: | --: | --: | --: | --: |")
    for name, one, _, peak in rows:
        print(f"| {name} | {one['per_s']:,.0f} | {one['errors']} | {one['p50_ms']:.2f} | {one['p99_ms']:.2f} "
              f"| {one['slow_open']} | {peak:.0f} MiB |")
    ratios = [rows[i + 1][1]["p99_ms"] / rows[i][1]["p99_ms"] for i in range(0, len(rows), 2)]
    print(f"\np99 ratios of the pairs: {', '.join(f'{ratio:.2f}' for ratio in ratios)}.\n")


class Bare:
    """A server that is nothing but Beast, and has one answer."""

    def __init__(self, binary, answer, folder):
        path = pathlib.Path(folder) / "answer.json"
        path.write_text(json.dumps(answer, separators=(",", ":")))
        self.process = subprocess.Popen([binary / "inferq-bench-bare-beast", "--answer", path], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def close(self):
        self.process.kill()
        self.process.wait()


def median(values):
    return sorted(values)[len(values) // 2]


def small_rows(binary, server, path, answer, folder, **options):
    """Peaks of both in turn, then each at half of the server's peak with an open loop."""
    bare = Bare(binary, answer, folder)
    targets = {"inferq": server.url + path, "bare Beast": bare.url + path}
    try:
        peaks = {name: [] for name in targets}
        for _ in range(3):
            for name, url in targets.items():
                peaks[name].append(load(binary, url, connections=64, seconds=5, **options))
        rate = int(median([one["per_s"] for one in peaks["inferq"]]) / 2)
        half = {name: load(binary, url, connections=64, seconds=10, rate=rate, **options) for name, url in targets.items()}
    finally:
        bare.close()
    for name in targets:
        peak, at_half = peaks[name], half[name]
        errors = sum(one["errors"] for one in [*peak, at_half])
        print(f"| {options.get('method', 'GET')} {path.split('/batch_')[0]} | {name} | {median([one['per_s'] for one in peak]):,.0f} "
              f"| {median([one['p99_ms'] for one in peak]):.2f} | {rate:,} | {at_half['p50_ms']:.2f} | {at_half['p99_ms']:.2f} "
              f"| {at_half['max_ms']:.2f} | {errors} |")


def small(binary):
    """Small requests, next to a server that is nothing but Beast."""
    with tempfile.TemporaryDirectory() as folder:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        body_file, input_file = pathlib.Path(folder) / "body.json", pathlib.Path(folder) / "in.jsonl"
        body_file.write_text(json.dumps(body))
        input_file.write_text(line(0, 0))
        server = Server(binary, config("0ms", "0ms", 256, 0))
        try:
            answer = server.call("POST", "/v1/chat/completions", body_file.read_bytes())
            batch = server.await_status(server.create(server.upload(input_file)), "completed")
            print("## Small requests, 64 connections, next to a bare Beast server with the same answers\n")
            print("Fake engine without any delay, answers of one token. Peak: each waits for its answer, median of three runs in turn. "
                  "Half: at half of inferq's peak, whether or not answers come; times count from when a request is meant to be sent.\n")
            print("| | server | peak, requests/s | p99 ms at peak | half, requests/s | p50 ms | p99 ms | max ms | errors |")
            print("| --- | --- | --: | --: | --: | --: | --: | --: | --: |")
            small_rows(binary, server, "/v1/chat/completions", answer, folder, method="POST", body=body_file)
            small_rows(binary, server, f"/v1/batches/{batch['id']}", batch, folder)
            print()
        finally:
            server.close()


PARTS = {"accept": accept, "online": online, "slow": slow, "small": small}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/release/bin"))
    arguments = parser.parse_args()
    print("# `inferq serve` under load\n")
    print(f"- Machine: {os.cpu_count()} cores; Linux {platform.release()}; {time.strftime('%Y-%m-%d')}; "
          f"load average before the run {os.getloadavg()[0]:.1f}")
    print(f"- Command: `bench/serve.py --parts {arguments.parts}`\n")
    for part in arguments.parts.split(","):
        PARTS[part](arguments.bin.resolve())
        sys.stdout.flush()


if __name__ == "__main__":
    main()
