#!/usr/bin/env python3
"""Runs libFuzzer targets, each on one core for some minutes, and writes what they did as Markdown.

    tests/fuzz/run.py --minutes 30 [--jobs 2] [--targets json,sse] [--bin build/fuzz/bin] [--out bench/results/fuzz.md]

Starts from tests/fuzz/corpus and leaves it as it is: what is found new lies in out/fuzz/<target>, and an input that breaks
something in out/fuzz/<target>-crash-…. Exit code 1 when there is one.
"""

import argparse
import concurrent.futures
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
MEMORY_LIMIT_MB = 2048
SLOWEST_INPUT_SECONDS = 20


def run(binary, name, seconds, out):
    """The statistics of one target's run."""
    grown = out / name
    grown.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [binary / f"{name}_fuzz", f"-max_total_time={seconds}", f"-rss_limit_mb={MEMORY_LIMIT_MB}", "-seed=1",
         f"-timeout={SLOWEST_INPUT_SECONDS}", "-print_final_stats=1", f"-artifact_prefix={out}/{name}-",
         grown, CORPUS / name],
        capture_output=True, text=True, errors="replace", check=False)
    (out / f"{name}.log").write_text(done.stderr, encoding="utf-8")
    statistics = dict(re.findall(r"stat::(\w+):\s+(\d+)", done.stderr))
    coverage = re.findall(r"cov: (\d+)", done.stderr)
    return {"name": name, "ok": done.returncode == 0, "runs": int(statistics.get("number_of_executed_units", 0)),
            "rss": int(statistics.get("peak_rss_mb", 0)), "edges": int(coverage[-1]) if coverage else 0}


def table(results, minutes, command):
    lines = ["# Fuzzing\n",
             f"- Machine: {os.cpu_count()} cores; Linux {platform.release()}; {time.strftime('%Y-%m-%d')}",
             f"- Command: `{command}`; libFuzzer with AddressSanitizer and UBSan, {minutes:g} minutes and one core for each "
             f"target, at most {MEMORY_LIMIT_MB} MiB and {SLOWEST_INPUT_SECONDS} s for an input\n",
             "| target | inputs run | edges covered | peak memory, MiB | |", "| --- | --: | --: | --: | --- |"]
    for one in results:
        verdict = "nothing found" if one["ok"] else "**broken**"
        lines.append(f"| {one['name']} | {one['runs']:,} | {one['edges']:,} | {one['rss']} | {verdict} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="targets at once")
    parser.add_argument("--targets", default=",".join(sorted(path.name for path in CORPUS.iterdir())))
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/fuzz/bin"))
    parser.add_argument("--out", type=pathlib.Path, help="where to write the table besides standard output")
    arguments = parser.parse_args()
    out = pathlib.Path("out/fuzz")
    out.mkdir(parents=True, exist_ok=True)
    seconds = max(1, round(arguments.minutes * 60))
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda name: run(arguments.bin, name, seconds, out), arguments.targets.split(",")))
    text = table(results, arguments.minutes, "tests/fuzz/run.py " + " ".join(sys.argv[1:]))
    print(text)
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    return 0 if all(one["ok"] for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
