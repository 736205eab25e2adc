#!/usr/bin/env python3
"""What the micro-batching window gives embeddings: requests per second in pairs, as a Markdown table.

    make build && bench/embeddings.py                   # writes bench/results/embeddings.md
    bench/embeddings.py --concurrency 1,8,32 --pairs 5  # other points, more pairs

One `inferq serve` offers the same GGUF twice, with a window and without. A pair is one
measurement of each, in turns: so many clients, each of which sends its next request when it has the answer to the one before.
"""

import argparse
import http.client
import json
import pathlib
import platform
import random
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = "open tap swipe type search menu page text send message photo order food price train ticket".split()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "build/release/bin", help="where the programs are")
    parser.add_argument("--model", type=pathlib.Path, help="GGUF file (default: the preset 150m, written once)")
    parser.add_argument("--concurrency", default="8", help="clients at once, comma-separated")
    parser.add_argument("--words", type=int, default=10, help="words per input")
    parser.add_argument("--window", default="10ms")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8, help="of each measurement")
    parser.add_argument("--note", default="", help="about the machine, for the table's text")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "bench/results/embeddings.md")
    return parser.parse_args()


def fail(message):
    sys.exit(f"embeddings.py: {message}")


def default_model(args):
    path = ROOT / "models/bench-150m.gguf"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        subprocess.run([args.bin / "inferq-make-gguf", "--preset", "150m", "--out", path], check=True)
    return path


class Server:
    def __init__(self, args, folder):
        models = "".join(f"""
[[model]]
name = "{name}"
path = "{args.model.resolve()}"
concurrency = 64
context = 256
threads = {args.threads}
embed_window = "{window}"
""" for name, window in [("window", args.window), ("alone", "0ms")])
        pathlib.Path(folder, "inferq.toml").write_text(models)
        self.process = subprocess.Popen(
            [(args.bin / "inferq").resolve(), "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        url = admin = None
        for line in self.process.stdout:
            url = url or re.search(r"serves http://127.0.0.1:(\d+)", line)
            admin = admin or re.search(r"admin\S*\s+http://127.0.0.1:(\d+)", line)
            if url and admin:
                break
        if not url or not admin:
            fail("the server does not start")
        self.port, self.admin = int(url.group(1)), int(admin.group(1))
        threading.Thread(target=lambda: [None for _ in self.process.stdout], daemon=True).start()

    def await_ready(self):
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("GET", "/readyz")
            ready = connection.getresponse().status == 200
            connection.close()
            if ready:
                return
            time.sleep(0.1)

    def counts(self, model):
        """Micro-batches and inputs in them so far."""
        time.sleep(2.5)  # metrics are sampled
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        found = [re.search(rf'inferq_engine_micro_{what}_total{{model="{model}"}} (\S+)', text)
                 for what in ("batches", "batched")]
        return [float(one.group(1)) if one else 0 for one in found]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)


def client(server, model, number, args, until, latencies, failures, tokens):
    draw = random.Random(number)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    while time.perf_counter() < until:
        body = json.dumps({"model": model, "input": " ".join(draw.choices(WORDS, k=args.words)),
                           "encoding_format": "base64"})
        start = time.perf_counter()
        connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            failures.append(answer[:200])
            return
        latencies.append(time.perf_counter() - start)
        if not tokens:
            tokens.append(json.loads(answer)["usage"]["prompt_tokens"])


def measure(server, model, concurrency, args, seconds):
    latencies, failures, tokens = [], [], []
    start = time.perf_counter()
    threads = [threading.Thread(target=client, args=(server, model, i, args, start + seconds, latencies, failures, tokens))
               for i in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures or not latencies:
        fail(f"requests failed: {failures[:1]}")
    taken = time.perf_counter() - start
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    return {"rate": len(latencies) / taken, "p50": cuts[49], "p99": cuts[98], "tokens": tokens[0]}


def measure_point(server, concurrency, args):
    point = {"concurrency": concurrency, "window": [], "alone": [], "sizes": []}
    for pair in range(args.pairs):
        for model in (["window", "alone"] if pair % 2 == 0 else ["alone", "window"]):
            before = server.counts(model)
            point[model].append(measure(server, model, concurrency, args, args.seconds))
            if model == "window":
                batches, inputs = [now - then for now, then in zip(server.counts(model), before)]
                point["sizes"].append(inputs / batches if batches else 0)
        print(f"  {concurrency:3} clients, pair {pair + 1}: alone {point['alone'][-1]['rate']:.1f}/s, "
              f"window {point['window'][-1]['rate']:.1f}/s", file=sys.stderr)
    return point


def row(point):
    def middle(model, what):
        return statistics.median(one[what] for one in point[model])
    ratios = [w["rate"] / a["rate"] for w, a in zip(point["window"], point["alone"])]
    return "| " + " | ".join([
        str(point["concurrency"]), str(point["window"][0]["tokens"]),
        f"{middle('alone', 'rate'):.1f}", f"{middle('alone', 'p50') * 1000:.0f} / {middle('alone', 'p99') * 1000:.0f}",
        f"{middle('window', 'rate'):.1f}", f"{middle('window', 'p50') * 1000:.0f} / {middle('window', 'p99') * 1000:.0f}",
        f"{statistics.median(point['sizes']):.1f}",
        f"**{statistics.median(ratios):.2f}**", f"{min(ratios):.2f} to {max(ratios):.2f}"]) + " |"


def machine():
    names = re.findall(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{len(names)} x {names[0] if names else platform.processor()}"


def main():
    args = parse_arguments()
    args.model = args.model or default_model(args)
    load = pathlib.Path("/proc/loadavg").read_text().split()[0]
    with tempfile.TemporaryDirectory() as folder:
        server = Server(args, folder)
        try:
            server.await_ready()
            for model in ("window", "alone"):
                measure(server, model, 2, args, 1)  # loads it
            points = [measure_point(server, int(c), args) for c in args.concurrency.split(",")]
        finally:
            server.stop()
    text = f"""# Embeddings: with a micro-batching window and without

Machine: {machine()}; load average at the start {load}. {args.note}
Model: {args.model.name}, {args.threads} threads. Command: `bench/embeddings.py {shlex.join(sys.argv[1:])}`.
Closed-loop clients over HTTP; {args.pairs} pairs of {args.seconds:g} s, medians; window {args.window}; times in ms. The ratio is of
requests per second, window by none, within a pair.

| clients | tokens | alone: requests/s | p50 / p99 | window: requests/s | p50 / p99 | mean micro-batch | ratio | range |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
""" + "\n".join(row(point) for point in points) + "\n"
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
