#!/usr/bin/env python3
"""Phone agents at a backend that fails, alone and through inferq. Prints Markdown for bench/results/agents.md.

    bench/agents.py [--seconds 60] [--bin build/release/bin] [--model-option 'KEY = VALUE']…

Each row pair is one run of `inferq bench agents`; docs/bench.md says what the figures mean.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import time

# What is run: a name, and the arguments of `inferq bench agents`.
RUNS = [
    ("E, 200 agents, open steps", ["--profile", "E", "--clients", "200", "--speed", "20"]),
    ("E, 200 agents, recipe steps", ["--profile", "E", "--clients", "200", "--speed", "20", "--steps", "recipe"]),
    ("A, 50 agents, open steps", ["--profile", "A", "--clients", "50", "--speed", "5"]),
    ("A, 50 agents, beside a batch", ["--profile", "A", "--clients", "50", "--speed", "5", "--batch", "200000"]),
    ("C, 15 agents, recipe steps", ["--profile", "C", "--clients", "15", "--speed", "5", "--steps", "recipe"]),
    ("B, 8 clients", ["--profile", "B", "--clients", "8", "--speed", "5"]),
    ("D, 4 clients", ["--profile", "D", "--clients", "4", "--speed", "5"]),
]


def measure(arguments, more):
    command = [arguments.bin / "inferq", "bench", "agents", "--json", "--seconds", f"{arguments.seconds:g}", *more]
    for option in arguments.model_option:
        command += ["--model-option", option]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout.splitlines()[-1])


def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def row(name, side, report):
    get = lambda key: report[f"{side}_{key}"]
    step, probe = get("step_ms"), report.get(f"{side}_probe_ms", {"p50": None, "p99": None})
    ended = get("tasks_completed") + get("tasks_lost")
    lost = f"{get('lost_to_cut_answers')} / {get('lost_to_refusals')} / {get('lost_to_silent_truncation')}"
    return (f"| {name} | {side} | {ended:,} | {lost} | {number(get('completion_percent'), 2)} | {get('steps_per_min'):,} "
            f"| {step['p50']:.0f} | {step['p95']:.0f} | {step['p99']:.0f} | {number(probe['p50'], 1)} | {number(probe['p99'], 1)} "
            f"| {get('client_repetitions'):,} | {number(get('prefix_hit_percent'), 1)} "
            f"| {number(report['server_peak_bytes'] / 2**20) if side == 'through' else '-'} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/release/bin"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--model-option", action="append", default=[])
    arguments = parser.parse_args()
    options = "".join(f" --model-option '{option}'" for option in arguments.model_option)
    print("# Phone agents at a backend that fails\n")
    print(f"- Machine: {os.cpu_count()} cores; Linux {platform.release()}; {time.strftime('%Y-%m-%d')}; "
          f"load average before the run {os.getloadavg()[0]:.1f}")
    print(f"- Command: `bench/agents.py --seconds {arguments.seconds:g}{options}`; docs/bench.md says what the figures mean")
    print("- Faults: 2 % of the backend's answers are 5xx, 1 % break off. Lost: to cut answers / refusals / silent truncation. "
          "Times are by the clock on the wall, with everything that is simulated made faster by `--speed`\n")
    print("| run | side | tasks | lost | completed, % | steps/min | step p50 ms | p95 | p99 | probe p50 ms | p99 | repetitions "
          "| prefix hits, % | peak memory, MiB |")
    print("| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |")
    commands = []
    for name, more in RUNS:
        report = measure(arguments, more)
        for side in ("direct", "through"):
            print(row(name, side, report), flush=True)
        commands.append(f"- {name}: `{report['command']}`")
    print("\n" + "\n".join(commands))


if __name__ == "__main__":
    main()
