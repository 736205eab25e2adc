#!/usr/bin/env python3
"""Tasks and workers over HTTP, with `inferq bench`. Prints Markdown for bench/results/queue.md.

    bench/queue.py [--bin build/release/bin] [--data DIRECTORY] [--seconds 5] [--pairs 3]

DIRECTORY is on the disk to measure. Compare only figures of one run.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import time


def bench(arguments, *words):
    command = [arguments.bin.resolve() / "inferq", "bench", *map(str, words)]
    if arguments.data:
        command += ["--data", arguments.data]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def show(arguments, *words):
    print(f"## `inferq bench {' '.join(map(str, words))}`\n")
    print(bench(arguments, *words, "--markdown"), flush=True)


def timed(arguments, kind, *more):
    """Tasks a second, and processor microseconds of the server for each."""
    report = json.loads(bench(arguments, kind, "--seconds", arguments.seconds, "--json", *more).splitlines()[-1])
    cpu = report["load_server_user_s"] + report["load_server_system_s"]
    return report.get("tasks_per_s") or report["submissions_per_s"], cpu / report["submitted"] * 1e6


def keys(arguments):
    print("## What idempotency keys cost\n\nRuns in turn, tasks or submissions a second.\n")
    print("| | without | with | ratio | server processor time each, without | with | ratio |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for kind in ("queue", "submit"):
        for _ in range(arguments.pairs):
            without, cpu_without = timed(arguments, kind)
            using, cpu_using = timed(arguments, kind, "--idempotency")
            print(f"| {kind} | {without:,} | {using:,} | {using / without:.2f} | {cpu_without:.1f} us "
                  f"| {cpu_using:.1f} us | {cpu_using / cpu_without:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/release/bin"))
    parser.add_argument("--data", default="")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--pairs", type=int, default=3)
    arguments = parser.parse_args()
    print("# Tasks and workers over HTTP\n")
    print(f"- Machine: {os.cpu_count()} cores; Linux {platform.release()}; {time.strftime('%Y-%m-%d')}; "
          f"load average before the run {os.getloadavg()[0]:.1f}")
    print(f"- Command: `bench/queue.py --seconds {arguments.seconds:g} --pairs {arguments.pairs}`; "
          "docs/bench.md says what the figures mean\n")
    for kind in ("queue", "submit", "pickup"):
        show(arguments, kind, "--seconds", f"{arguments.seconds:g}")
    show(arguments, "ingest")
    show(arguments, "ingest", "--lines", 10_000_000)
    show(arguments, "restart")
    keys(arguments)


if __name__ == "__main__":
    main()
